//! Libraries that look like CANN's as far as opening them goes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use ascendit::cann::{Cann, Place, Search};

/// Compiles C source to a shared library. `cc` is what the engine's own dependencies are built with,
/// so it is there.
pub(crate) fn compile(source: &str, library: &Path) {
    fs::create_dir_all(library.parent().unwrap()).unwrap();
    let c = tempfile::Builder::new().suffix(".c").tempfile().unwrap();
    fs::write(c.path(), source).unwrap();
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-w", "-o"])
        .args([library, c.path()])
        .status()
        .expect("a C compiler is needed to build the engine");
    assert!(status.success());
}

/// A search in one folder.
pub(crate) fn only(folder: &Path) -> Search {
    Search {
        places: vec![Place::Usual(folder.to_owned())],
    }
}

/// Why a search fails.
pub(crate) fn refusal(search: &Search) -> String {
    Cann::open(search).expect_err("nothing usable").to_string()
}

/// All functions that the engine needs, by library.
fn functions() -> &'static [(String, String)] {
    static FUNCTIONS: OnceLock<Vec<(String, String)>> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let table = include_str!("../../cann-sys/src/table.rs");
        let required = table.split("required(Library::").skip(1).map(|entry| {
            let (library, rest) = entry.split_once(',').expect("a library");
            let name = rest.split('"').nth(1).expect("a name");
            (format!("lib{}.so", library.to_lowercase()), name.to_owned())
        });
        required.collect()
    })
}

/// What a fake CANN does beside answering 0 to everything.
pub(crate) struct Fake<'a> {
    /// C source of `libascendcl.so`.
    pub(crate) source: &'a str,
    /// The functions that the source defines, or that are not to be there.
    pub(crate) without: &'a [&'a str],
    /// What `aclsysGetCANNVersion` says.
    pub(crate) version: &'a str,
    /// The files of operators, each with the beginnings of names that go into it.
    pub(crate) operators: &'a [(&'a str, &'a [&'a str])],
}

impl Default for Fake<'_> {
    fn default() -> Self {
        Self {
            source: "",
            without: &[],
            version: "8.1.RC1",
            operators: &[("libopapi.so", &[""])],
        }
    }
}

impl Fake<'_> {
    /// Makes the libraries in a folder.
    pub(crate) fn make(&self, folder: &Path) {
        let without: BTreeSet<&str> = self.without.iter().copied().collect();
        let of = |library: &str, beginnings: &[&str]| {
            let mut source = String::new();
            for (place, name) in functions() {
                let here = beginnings.iter().any(|begin| name.starts_with(begin));
                if place == library && here && !without.contains(name.as_str()) {
                    writeln!(source, "long {name}(void) {{ return 0; }}").unwrap();
                }
            }
            source
        };
        let version = format!(
            "int aclsysGetCANNVersion(int package, char *to) {{
                const char *text = \"{}\";
                if (package != 0) return 100003;
                while ((*to++ = *text++));
                return 0;
            }}",
            self.version
        );
        let ascendcl = of("libascendcl.so", &[""]);
        compile(
            &format!("{ascendcl}\n{version}\n{}", self.source),
            &folder.join("libascendcl.so"),
        );
        compile(&of("libnnopbase.so", &[""]), &folder.join("libnnopbase.so"));
        for (file, beginnings) in self.operators {
            compile(&of("libopapi.so", beginnings), &folder.join(file));
        }
    }
}
