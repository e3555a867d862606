//! The library's own table of symbols, in which a function can be hidden from whoever looks for it.
//!
//! glibc tells where the entry of a function is. An entry that has lost its name is found by nobody.

use std::ffi::{CStr, CString, c_int, c_void};
use std::fs::File;
use std::mem::MaybeUninit;
use std::os::unix::fs::FileExt;
use std::ptr::null_mut;

use libc::Dl_info;

/// Asks `dladdr1` for the entry (`RTLD_DL_SYMENT` of `dlfcn.h`).
const ENTRY: c_int = 1;

/// Hides an exported function of this library.
///
/// # Errors
/// If it has none of this name, or its table cannot be changed.
pub(crate) fn hide(name: &str) -> Result<(), &'static str> {
    const NONE: &str = "the twin has no such function";
    let wanted = CString::new(name).map_err(|_| NONE)?;
    let (this, _) = about(hide as *const c_void).ok_or("the loader does not know the twin")?;
    // SAFETY: the name of a library that is open, which is not opened anew.
    let library = unsafe { libc::dlopen(this.dli_fname, libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    if library.is_null() {
        return Err("the loader does not know the twin");
    }
    // SAFETY: the library is open, and stays so after this handle is closed: it runs this.
    let function = unsafe {
        let function = libc::dlsym(library, wanted.as_ptr());
        libc::dlclose(library);
        function
    };
    let (of, entry) = about(function).ok_or(NONE)?;
    // SAFETY: not null, and a text in the table of a library that is open.
    let is_it = !of.dli_sname.is_null() && unsafe { CStr::from_ptr(of.dli_sname) } == &*wanted;
    if of.dli_fbase != this.dli_fbase || !is_it || entry.is_null() {
        return Err(NONE);
    }
    // The name's place is the entry's first field, and at 0 there is an empty name. The table is mapped
    // for reading only, which this file ignores.
    let memory = File::options().write(true).open("/proc/self/mem");
    let written = memory.and_then(|m| m.write_all_at(&0u32.to_ne_bytes(), entry as u64));
    written.map_err(|_| "its table of symbols cannot be changed")
}

/// What the loader knows about an address, and the entry of the symbol that lies there.
fn about(address: *const c_void) -> Option<(Dl_info, *mut c_void)> {
    let (mut info, mut entry) = (MaybeUninit::<Dl_info>::uninit(), null_mut());
    // SAFETY: there are places for the results; any address may be asked for.
    let known = unsafe { libc::dladdr1(address, info.as_mut_ptr(), &mut entry, ENTRY) };
    // SAFETY: filled where the answer is not 0.
    (known != 0).then(|| (unsafe { info.assume_init() }, entry))
}
