//! What is counted per process: that a library is initialised once, and a device taken once.

use std::path::Path;

use ascendit::cann::{Cann, Context};

use crate::fake::{Fake, only};

/// Writes down what it is asked to do.
const SOURCE: &str = r#"
    static char log[1000];
    static void note(const char *text) {
        char *to = log;
        while (*to) to++;
        while ((*to++ = *text++));
    }
    const char *taken_log(void) {
        static char copy[1000];
        char *to = copy, *from = log;
        while ((*to++ = *from++));
        log[0] = 0;
        return copy;
    }
    int aclFinalize(void) { note("finalize "); return 0; }
    int aclrtGetDeviceCount(unsigned *n) { *n = 2; return 0; }
    int aclrtSetDevice(int n) { note(n ? "set1 " : "set0 "); return 0; }
    int aclrtResetDevice(int n) { note(n ? "reset1 " : "reset0 "); return 0; }
    static int contexts;
    int aclrtCreateContext(long *to, int n) { note("create "); *to = ++contexts; return 0; }
    int aclrtDestroyContext(long context) { note("destroy "); return 0; }
    int aclrtSetCurrentContext(long context) { note(context == 1 ? "bind1 " : "bind "); return 0; }
"#;

const INIT: &str = r#"int aclInit(const char *config) { note("init "); return 0; }"#;

fn fake(folder: &Path, init: &str) {
    Fake {
        source: &format!("{SOURCE}{init}"),
        without: &[
            "aclInit",
            "aclFinalize",
            "aclrtGetDeviceCount",
            "aclrtSetDevice",
            "aclrtResetDevice",
            "aclrtCreateContext",
            "aclrtDestroyContext",
            "aclrtSetCurrentContext",
        ],
        ..Fake::default()
    }
    .make(folder);
}

/// What the library of a folder was asked since the last time.
fn taken_log(folder: &Path) -> String {
    // SAFETY: the library was made by this test.
    let library = unsafe { libloading::Library::new(folder.join("libascendcl.so")) }.unwrap();
    // SAFETY: the function has this type; its text is copied while the library is open.
    unsafe {
        let log = library.get::<unsafe extern "C" fn() -> *const std::ffi::c_char>("taken_log");
        let text = std::ffi::CStr::from_ptr(log.unwrap()());
        text.to_str().unwrap().trim_end().to_owned()
    }
}

#[test]
fn a_library_is_initialised_once_and_finalised_when_its_last_user_goes() {
    let root = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| root.path().join(name));
    fake(&a, INIT);
    fake(&b, INIT);
    let first = Cann::open(&only(&a)).unwrap();
    let second = Cann::open(&only(&a)).unwrap();
    let clone = second.clone();
    let other = Cann::open(&only(&b)).unwrap();
    assert_eq!(taken_log(&a), "init");
    assert_eq!(taken_log(&b), "init");
    drop(first);
    drop(second);
    assert_eq!(taken_log(&a), "");
    drop(clone);
    assert_eq!(taken_log(&a), "finalize");
    drop(other);
    assert_eq!(taken_log(&b), "finalize");
    drop(Cann::open(&only(&a)).unwrap());
    assert_eq!(taken_log(&a), "init finalize");
}

#[test]
fn a_library_that_somebody_else_initialised_is_left_as_it_is() {
    let root = tempfile::tempdir().unwrap();
    let init = "int aclInit(const char *config) { return 100002; }";
    fake(root.path(), init);
    drop(Cann::open(&only(root.path())).unwrap());
    assert_eq!(taken_log(root.path()), "");
}

#[test]
fn a_device_is_taken_by_its_first_context_and_given_back_by_its_last() {
    let root = tempfile::tempdir().unwrap();
    fake(root.path(), INIT);
    let cann = Cann::open(&only(root.path())).unwrap();
    let first = Context::new(&cann, 0).unwrap();
    let second = Context::new(&cann, 0).unwrap();
    let other = Context::new(&cann, 1).unwrap();
    drop(cann);
    assert_eq!(
        taken_log(root.path()),
        "init set0 create create set1 create"
    );
    drop(first.clone());
    drop(first);
    assert_eq!(taken_log(root.path()), "destroy");
    drop(second);
    assert_eq!(taken_log(root.path()), "destroy reset0");
    drop(other);
    assert_eq!(taken_log(root.path()), "destroy reset1 finalize");
}

#[test]
fn a_thread_is_bound_when_it_is_not_yet() {
    let root = tempfile::tempdir().unwrap();
    fake(root.path(), INIT);
    let cann = Cann::open(&only(root.path())).unwrap();
    let first = Context::new(&cann, 0).unwrap();
    let second = Context::new(&cann, 1).unwrap();
    taken_log(root.path());
    first.memory().unwrap();
    first.memory().unwrap();
    second.memory().unwrap();
    second.cores().unwrap();
    first.memory().unwrap();
    assert_eq!(taken_log(root.path()), "bind1 bind bind1");
    std::thread::scope(|scope| {
        scope.spawn(|| first.memory().unwrap());
    });
    assert_eq!(taken_log(root.path()), "bind1");

    // A second handle of the same library shares the threads' state.
    let again = Cann::open(&only(root.path())).unwrap();
    let third = Context::new(&again, 0).unwrap();
    taken_log(root.path());
    first.memory().unwrap();
    assert_eq!(taken_log(root.path()), "bind1");
    drop(third);
    first.memory().unwrap();
    assert_eq!(taken_log(root.path()), "destroy bind1");
}

#[test]
fn two_libraries_are_bound_without_each_other() {
    let root = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| root.path().join(name));
    fake(&a, INIT);
    fake(&b, INIT);
    let [first, second] = [&a, &b].map(|folder| {
        let cann = Cann::open(&only(folder)).unwrap();
        Context::new(&cann, 0).unwrap()
    });
    taken_log(&a);
    taken_log(&b);
    for _ in 0..3 {
        first.memory().unwrap();
        second.memory().unwrap();
    }
    assert_eq!(taken_log(&a), "bind1");
    assert_eq!(taken_log(&b), "bind1");
    let buffer = second.alloc(8).expect_err("the library gives none");
    assert_eq!(buffer.to_string(), "cann:0: aclrtMalloc gave nothing");
}

#[test]
fn a_device_that_is_not_there_is_said_with_those_that_are() {
    let root = tempfile::tempdir().unwrap();
    fake(root.path(), INIT);
    let cann = Cann::open(&only(root.path())).unwrap();
    let error = Context::new(&cann, 2).expect_err("two devices").to_string();
    assert_eq!(
        error,
        "cann:2: there is no such device, only cann:0 to cann:1"
    );
}
