//! The shared library as a program opens it.

use cann_sys::{Functions, Library};
use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

/// The library of this package.
fn open() -> libloading::Library {
    let test = std::env::current_exe().unwrap();
    let path = test.with_file_name("libascendit_cann_twin.so");
    // SAFETY: the library is this package's; what it runs when it is opened and closed touches nothing of ours.
    unsafe { libloading::Library::new(&path) }.unwrap()
}

#[test]
fn one_shared_library_exports_all_of_the_four() {
    let library = open();
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

#[test]
fn functions_can_be_hidden() {
    const HIDDEN: [&CStr; 2] = [c"aclnnPromptFlashAttentionV3", c"aclrtStreamAbort"];
    const ASKED: &str = "HIDDEN_FUNCTIONS_ARE_LOOKED_FOR";
    if std::env::var_os(ASKED).is_none() {
        // Once more in a process that says so from its start, as the library may be open in this one.
        let test = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "functions_can_be_hidden"])
            .env(ASKED, "1")
            .env(
                "ASCENDIT_TWIN_FAULT",
                "without:aclnnPromptFlashAttentionV3,without:aclrtStreamAbort,without:aclNothing",
            )
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&test.stderr);
        assert!(test.status.success(), "{test:?}");
        let text =
            "twin: ASCENDIT_TWIN_FAULT: aclNothing is not hidden: the twin has no such function";
        assert_eq!(errors.trim(), text);
        return;
    }
    let library = open();
    let mut lacks = vec![];
    let mut find = |_, name: &'static CStr| {
        // SAFETY: the address is looked at here and not called.
        let symbol = unsafe { library.get::<*mut c_void>(name.to_bytes_with_nul()) };
        let found = symbol.ok().and_then(|symbol| NonNull::new(*symbol));
        if found.is_none() {
            lacks.push(name);
        }
        found
    };
    // SAFETY: the twin's functions have the types of the table: its own table is made of them.
    let functions = unsafe { Functions::load(&mut find) }.unwrap();
    assert!(functions.aclrtStreamAbort.is_none());
    lacks.sort();
    assert_eq!(lacks, HIDDEN);
}
