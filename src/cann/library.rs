//! Finding and opening CANN's libraries, or the twin.
//!
//! CANN is looked for in the places of a [`Search`], in their order. The first place whose
//! `libascendcl.so` can be opened is taken, and the other libraries come from the same place: two
//! CANNs in one process would share libraries that do not fit both. Opened libraries are never closed,
//! which CANN is not made for.

use std::ffi::{CStr, OsString, c_int, c_void};
use std::fmt;
use std::fmt::Write as _;
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;

use cann_sys::{Functions, Library};
use libloading::os::unix::{Library as Handle, RTLD_LAZY, RTLD_LOCAL};

use super::codes;
use super::process::{self, Initialised};
use super::version::{GetVersion, Version};
use crate::{Error, Result};

const SOURCE: &str = "install CANN 8.1 or newer, or run `source \
                      /usr/local/Ascend/ascend-toolkit/set_env.sh` in this shell first";
const BUILD: &str = "`cargo build` makes it; ASCENDIT_TWIN can name it";

/// The twin's file.
const TWIN: &str = "libascendit_cann_twin.so";

/// A place where CANN's libraries may lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A folder named by a variable.
    Variable {
        /// The variable.
        name: &'static str,
        /// The folder with the libraries.
        folder: PathBuf,
    },
    /// Where the system's loader looks: `LD_LIBRARY_PATH` and its own folders.
    Loader,
    /// A folder where CANN is usually installed.
    Usual(PathBuf),
}

impl Place {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Variable { folder, .. } | Self::Usual(folder) => Some(folder),
            Self::Loader => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable { name, folder } => write!(f, "{} of {name}", folder.display()),
            Self::Loader => f.write_str("the loader's path"),
            Self::Usual(folder) => folder.display().fmt(f),
        }
    }
}

/// Where to look for CANN. A value, so that a search depends on nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// The places, in order.
    pub places: Vec<Place>,
}

impl Search {
    /// This process's environment.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// The places for some values of `ASCEND_HOME_PATH`, `ASCEND_TOOLKIT_HOME` and `HOME`.
    pub fn from_variables(get: impl Fn(&str) -> Option<OsString>) -> Self {
        let get = |name| {
            get(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        // The second since CANN 8.5.
        let folders = ["Ascend/ascend-toolkit/latest/lib64", "Ascend/cann/lib64"];
        let named = ["ASCEND_HOME_PATH", "ASCEND_TOOLKIT_HOME"];
        let named = named.into_iter().filter_map(|name| {
            let folder = get(name)?.join("lib64");
            Some(Place::Variable { name, folder })
        });
        let system = Some(PathBuf::from("/usr/local"));
        let usual = [system, get("HOME")].into_iter().flatten();
        let usual = usual.flat_map(|root| folders.map(|folder| Place::Usual(root.join(folder))));
        Self {
            places: named.chain([Place::Loader]).chain(usual).collect(),
        }
    }
}

/// Where to look for the twin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TwinSearch {
    /// A file named by the variable `ASCENDIT_TWIN`; nothing else is looked at then.
    pub named: Option<PathBuf>,
    /// The folder of the running program.
    pub exe_dir: Option<PathBuf>,
}

impl TwinSearch {
    /// This process's environment.
    pub fn from_env() -> Self {
        let exe = std::env::current_exe().and_then(std::fs::canonicalize);
        Self {
            named: std::env::var_os("ASCENDIT_TWIN")
                .filter(|value| !value.is_empty())
                .map(PathBuf::from),
            exe_dir: exe.ok().and_then(|path| Some(path.parent()?.to_owned())),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        match (&self.named, &self.exe_dir) {
            (Some(file), _) => vec![file.clone()],
            // Cargo leaves the libraries of dependencies in `deps`, where tests run too; what lies
            // beside the program may be older there.
            (None, Some(dir)) => vec![dir.join("deps").join(TWIN), dir.join(TWIN)],
            (None, None) => vec![],
        }
    }
}

/// Opened libraries of CANN, or the twin. Clones share them.
#[derive(Clone)]
pub struct Cann(Arc<Opened>);

struct Opened {
    /// `cann` or `twin`, as devices are named.
    name: &'static str,
    version: Version,
    /// Where `libascendcl.so` was taken from.
    origin: String,
    // Before the functions: dropping it calls one of them.
    _initialised: Initialised,
    functions: Functions,
    _libraries: Libraries,
}

impl Cann {
    /// Opens CANN, checks that it has what the engine needs, and initialises it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the library, the functions or the version that is missing, the
    /// places looked at, and the remedy.
    pub fn open(search: &Search) -> Result<Self> {
        let mut tried = Vec::new();
        for place in &search.places {
            match open_at(place, Library::Ascendcl.file_name()) {
                Ok(ascendcl) => {
                    tried.push(format!("{place} (taken)"));
                    let fail = |problem| unavailable("cann", problem, &tried, SOURCE);
                    let libraries = rest(place, ascendcl).map_err(fail)?;
                    return Self::complete("cann", place.to_string(), libraries, fail);
                }
                Err(reason) => tried.push(format!("{place} ({reason})")),
            }
        }
        let problem = format!("{} was not found", Library::Ascendcl);
        Err(unavailable("cann", problem, &tried, SOURCE))
    }

    /// Opens the twin: one library with the functions of all of CANN's.
    ///
    /// # Errors
    /// As [`Cann::open`].
    pub fn open_twin(search: &TwinSearch) -> Result<Self> {
        if !cfg!(target_os = "linux") {
            return Err(Error::Unavailable {
                device: "twin".into(),
                what: "the twin runs on Linux only".into(),
            });
        }
        let mut tried = Vec::new();
        for file in search.files() {
            match open_file(&file) {
                Ok(twin) => {
                    tried.push(format!("{} (taken)", file.display()));
                    let fail = |problem| unavailable("twin", problem, &tried, BUILD);
                    let libraries = Libraries(vec![ManuallyDrop::new(twin)]);
                    return Self::complete("twin", file.display().to_string(), libraries, fail);
                }
                Err(reason) => tried.push(format!("{} ({reason})", file.display())),
            }
        }
        let problem = format!("{TWIN} was not found");
        Err(unavailable("twin", problem, &tried, BUILD))
    }

    fn complete(
        name: &'static str,
        origin: String,
        libraries: Libraries,
        fail: impl Fn(String) -> Error,
    ) -> Result<Self> {
        let get = libraries.find(c"aclsysGetCANNVersion");
        // SAFETY: the function of this name has this type.
        let get = get.map(|at| unsafe { std::mem::transmute::<NonNull<c_void>, GetVersion>(at) });
        // Asked first: a version that is too old explains why functions are missing.
        let version = Version::ask(get);
        if let Some(problem) = version.refusal() {
            return Err(fail(problem));
        }
        // SAFETY: the libraries are CANN's or the twin's, by their names and places, and stay open;
        // their functions have the types of the table, which was held against CANN's headers.
        let functions = unsafe { Functions::load(&mut |_, name| libraries.find(name)) };
        let functions = functions.map_err(|missing| fail(format!("{version} lacks {missing}")))?;
        let initialised = Initialised::new(&functions).map_err(|code| {
            fail(codes::describe(
                "aclInit",
                code,
                &recent_message(&functions),
            ))
        })?;
        tracing::debug!(%version, origin, "opened {name}");
        Ok(Self(Arc::new(Opened {
            name,
            version,
            origin,
            _initialised: initialised,
            functions,
            _libraries: libraries,
        })))
    }

    /// `cann` or `twin`: the kind of its devices' names.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// Where its libraries were found.
    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// Which CANN this is.
    pub fn version(&self) -> &Version {
        &self.0.version
    }

    /// How many devices this process may use.
    ///
    /// # Errors
    /// If CANN cannot tell, which is so where there is no driver.
    pub fn devices(&self) -> Result<usize> {
        let mut count = 0;
        // SAFETY: the library is initialised and `count` is a valid place to write to.
        let code = unsafe { (self.functions().aclrtGetDeviceCount)(&mut count) };
        self.check(self.name(), "aclrtGetDeviceCount", code)?;
        Ok(count as usize)
    }

    /// The kind of chip, `Ascend910B2`; empty where there is none.
    pub fn soc_name(&self) -> String {
        // SAFETY: takes nothing; returns null or a text that lives as long as the library.
        text(unsafe { (self.functions().aclrtGetSocName)() })
    }

    /// Whether this CANN has the attention of inference (`aclnnPromptFlashAttentionV3`), which takes
    /// the number of keys per batch row.
    pub fn has_prompt_attention(&self) -> bool {
        let functions = self.functions();
        functions
            .aclnnPromptFlashAttentionV3GetWorkspaceSize
            .is_some()
            && functions.aclnnPromptFlashAttentionV3.is_some()
    }

    pub(super) fn functions(&self) -> &Functions {
        &self.0.functions
    }

    /// A number for the library: two `Cann`s of one file have the same.
    pub(super) fn id(&self) -> usize {
        process::library_id(self.functions())
    }

    /// Turns a code into a result. To be called at once on the thread that got it: CANN keeps its
    /// message per thread until the next call.
    ///
    /// # Errors
    /// If the code says so: [`Error::Exhausted`] when memory ran out, else [`Error::Device`].
    pub(super) fn check(
        &self,
        device: &str,
        operation: impl fmt::Display,
        code: c_int,
    ) -> Result<()> {
        match code {
            0 => Ok(()),
            code => Err(self.failure(device, operation, code)),
        }
    }

    /// The error of a code that is not 0. To be called as [`Cann::check`].
    pub(super) fn failure(&self, device: &str, operation: impl fmt::Display, code: c_int) -> Error {
        let what = codes::describe(operation, code, &self.recent_message());
        match codes::is_out_of_memory(code) {
            true => Error::Exhausted {
                what: format!("{device}: {what}"),
            },
            false => Error::Device {
                device: device.to_owned(),
                what,
            },
        }
    }

    /// What CANN says about this thread's last failure. Asking clears it.
    pub(super) fn recent_message(&self) -> String {
        recent_message(self.functions())
    }
}

impl fmt::Debug for Cann {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, {})", self.name(), self.version(), self.origin())
    }
}

fn recent_message(functions: &Functions) -> String {
    // SAFETY: takes nothing; returns null or a text that is valid until the thread's next call.
    text(unsafe { (functions.aclGetRecentErrMsg)() })
}

/// A copy of a text of CANN; empty for null.
fn text(at: *const std::ffi::c_char) -> String {
    if at.is_null() {
        return String::new();
    }
    // SAFETY: not null, and ends in a zero byte by the contract of the functions that return it.
    unsafe { CStr::from_ptr(at) }.to_string_lossy().into_owned()
}

fn unavailable(name: &str, problem: String, tried: &[String], remedy: &str) -> Error {
    let mut what = problem;
    for (i, place) in tried.iter().enumerate() {
        let before = if i == 0 { "; tried" } else { "," };
        write!(what, "{before} {place}").expect("a string takes all");
    }
    Error::Unavailable {
        device: name.to_owned(),
        what: format!("{what}; {remedy}"),
    }
}

/// The files that functions are looked up in. Never closed: CANN has threads of its own.
struct Libraries(Vec<ManuallyDrop<Handle>>);

impl Libraries {
    fn find(&self, name: &CStr) -> Option<NonNull<c_void>> {
        self.0.iter().find_map(|handle| {
            // SAFETY: looking up an address is sound; nothing is read through it here.
            let symbol = unsafe { handle.get::<*mut c_void>(name.to_bytes_with_nul()) }.ok()?;
            NonNull::new(symbol.into_raw())
        })
    }
}

/// All libraries of a place, of which `libascendcl.so` is open.
fn rest(place: &Place, ascendcl: Handle) -> Result<Libraries, String> {
    let mut libraries = Libraries(vec![ManuallyDrop::new(ascendcl)]);
    let mut add = |handle| libraries.0.push(ManuallyDrop::new(handle));
    let open = |library: Library| {
        open_at(place, library.file_name())
            .map_err(|reason| format!("{library} cannot be used ({reason})"))
    };
    // Only profiling needs it.
    open(Library::Msprofiler).into_iter().for_each(&mut add);
    add(open(Library::Nnopbase)?);
    // Newer versions of CANN divide the operators among several files beside it.
    let parts = folder_of(place).map_or_else(Vec::new, |folder| opapi_parts(&folder));
    let parts: Vec<_> = parts.iter().filter_map(|part| load(part).ok()).collect();
    match open(Library::Opapi) {
        Ok(handle) => add(handle),
        Err(problem) if parts.is_empty() => return Err(problem),
        Err(_) => {}
    }
    parts.into_iter().for_each(add);
    Ok(libraries)
}

/// Opens a library of a place.
///
/// # Errors
/// Why not, as it reads in brackets.
fn open_at(place: &Place, name: &str) -> Result<Handle, String> {
    match place.folder() {
        None => load(Path::new(name)),
        Some(folder) if !folder.is_dir() => Err("no such folder".into()),
        Some(folder) if !folder.join(name).exists() => Err(format!("no {name} in it")),
        Some(folder) => open_file(&folder.join(name)),
    }
}

fn open_file(file: &Path) -> Result<Handle, String> {
    match file.exists() {
        true => load(file),
        false => Err("no such file".into()),
    }
}

fn load(file: &Path) -> Result<Handle, String> {
    // SAFETY: opening a library runs its initialisers. That the file is CANN's or the twin's is what
    // the user or the system says by its name and place.
    unsafe { Handle::open(Some(file), RTLD_LAZY | RTLD_LOCAL) }.map_err(|error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
        }
        format!("cannot be opened: {cause}")
    })
}

/// The folder of a place; for the loader's path, where it found `libascendcl.so`.
fn folder_of(place: &Place) -> Option<PathBuf> {
    if let Some(folder) = place.folder() {
        return Some(folder.to_owned());
    }
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let name = Library::Ascendcl.file_name();
    let path = maps.lines().find_map(|line| {
        let path = Path::new(&line[line.find('/')?..]);
        // The name of the real file may go on with its version.
        let file = path.file_name()?.to_str()?;
        file.starts_with(name).then_some(path)
    })?;
    Some(path.parent()?.to_owned())
}

/// The files `libopapi_*.so` of a folder, in order.
fn opapi_parts(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return vec![];
    };
    let mut parts: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|n| n.starts_with("libopapi_") && n.ends_with(".so"))
        })
        .collect();
    parts.sort();
    parts
}
