//! The shared library as a program opens it.

use cann_sys::{Functions, Library};
use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

#[test]
fn one_shared_library_exports_all_of_the_four() {
    let test = std::env::current_exe().unwrap();
    let path = test.with_file_name("libascendit_cann_twin.so");
    // SAFETY: the library is this package's; what it runs when it is opened and closed touches nothing of ours.
    let library = unsafe { libloading::Library::new(&path) }.unwrap();
    let mut counts = [0; Library::ALL.len()];
    let mut find = |of: Library, name: &'static CStr| {
        counts[Library::ALL.iter().position(|l| *l == of).unwrap()] += 1;
        // SAFETY: the address is looked at here and not called.
        let symbol = unsafe { library.get::<*mut c_void>(name.to_bytes_with_nul()) };
        symbol.ok().and_then(|symbol| NonNull::new(*symbol))
    };
    // SAFETY: the twin's functions have the types of the table: its own table is made of them.
    let functions = unsafe { Functions::load(&mut find) }.unwrap();
    assert!(counts.iter().all(|n| *n > 0), "{counts:?}");
    // Optional ones are there too.
    assert!(functions.aclnnPromptFlashAttentionV3.is_some());
    assert!(functions.aclprofInit.is_some());
    // SAFETY: it takes nothing and gives a text that lasts.
    let name = unsafe { CStr::from_ptr((functions.aclrtGetSocName)()) };
    assert!(name.to_string_lossy().starts_with("Ascend910B"), "{name:?}");
}
