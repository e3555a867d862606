//! Kernel binaries: shared libraries that are compiled here.

use std::ffi::{CString, c_void};
use std::path::Path;
use std::process::Command;
use std::ptr::{null, null_mut};
use std::time::Duration;

use cann_sys::*;

use crate::twin::*;
use ascendit_cann_twin::ascendit_twin_set_logging;

/// `add` adds a number to some bytes for each block; `lay` writes where its arguments lie; `outside` tells
/// whether it gets memory of others; `fail` says why it fails.
const SOURCE: &str = r#"
    #include <stdint.h>
    #include <string.h>
    struct range { uint64_t address, bytes; uint8_t *host; };
    struct launch {
        const char *soc; uint32_t blocks, modes;
        const uint8_t *arguments; uint64_t argument_bytes;
        const struct range *ranges; uint64_t range_count;
        void (*tell)(void *, uint32_t, const char *, uint64_t); void *user;
    };
    static uint8_t *at(const struct launch *launch, uint64_t address, uint64_t bytes) {
        for (uint64_t i = 0; i < launch->range_count; i++) {
            const struct range *range = &launch->ranges[i];
            if (i && range->address < range[-1].address + range[-1].bytes) return 0;
            uint64_t start = address - range->address;
            if (address >= range->address && start <= range->bytes && bytes <= range->bytes - start)
                return range->host + start;
        }
        return 0;
    }
    struct add { uint64_t address; uint32_t each; uint8_t amount; };
    static int32_t add(const struct launch *launch) {
        struct add args;
        memcpy(&args, launch->arguments, 13);
        for (uint32_t block = 0; block < launch->blocks; block++) {
            uint8_t *bytes = at(launch, args.address + (uint64_t)block * args.each, args.each);
            for (uint32_t i = 0; i < args.each; i++) bytes[i] += args.amount * (block + 1);
        }
        return 0;
    }
    struct lay { uint64_t to; uint8_t small; uint64_t wide; uint32_t word; uint64_t pair[2]; uint16_t last; };
    static int32_t lay(const struct launch *launch) {
        struct lay args;
        memcpy(&args, launch->arguments, 50);
        uint64_t all[8] = {args.small, args.wide, args.word, args.pair[0], args.pair[1], args.last,
                           launch->argument_bytes, launch->modes};
        memcpy(at(launch, args.to, 64), all, 64);
        return strcmp(launch->soc, "910B2");
    }
    struct outside { uint64_t to, address, bytes; };
    static int32_t outside(const struct launch *launch) {
        struct outside args;
        memcpy(&args, launch->arguments, 24);
        *at(launch, args.to, 1) = !at(launch, args.address, args.bytes);
        return 0;
    }
    static int32_t fail(const struct launch *launch) {
        launch->tell(launch->user, 1, "{}", 2);
        launch->tell(launch->user, 0, "fail: line 7 is wrong, really", 21);
        return 1;
    }
    static int32_t wordless(const struct launch *launch) { return launch != 0; }
    const void *twin_kernel(const char *name) {
        if (!strcmp(name, "add")) return add;
        if (!strcmp(name, "lay")) return lay;
        if (!strcmp(name, "outside")) return outside;
        if (!strcmp(name, "fail")) return fail;
        if (!strcmp(name, "wordless")) return wordless;
        return 0;
    }
"#;

/// A folder with a kernel binary.
fn compile() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (source, library) = (folder.path().join("k.c"), folder.path().join("k.so"));
    std::fs::write(&source, SOURCE).unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &source]);
    assert!(cc.status().unwrap().success());
    folder
}

fn try_load(path: &Path) -> (i32, aclrtBinHandle) {
    let path = CString::new(path.to_str().unwrap()).unwrap();
    let mut binary = null_mut();
    // SAFETY: a text, and a place for the result.
    let code = unsafe { (T.aclrtBinaryLoadFromFile)(path.as_ptr(), null_mut(), &mut binary) };
    (code, binary)
}

fn load(folder: &tempfile::TempDir) -> aclrtBinHandle {
    let (code, binary) = try_load(&folder.path().join("k.so"));
    ok(code);
    binary
}

fn kernel(binary: aclrtBinHandle, name: &str) -> aclrtFuncHandle {
    let (name, mut kernel) = (CString::new(name).unwrap(), null_mut());
    // SAFETY: a text, and a place for the result.
    ok(unsafe { (T.aclrtBinaryGetFunction)(binary, name.as_ptr(), &mut kernel) });
    kernel
}

fn begin(kernel: aclrtFuncHandle) -> aclrtArgsHandle {
    let mut arguments = null_mut();
    // SAFETY: there is a place for the result.
    ok(unsafe { (T.aclrtKernelArgsInit)(kernel, &mut arguments) });
    arguments
}

fn try_append<V>(arguments: aclrtArgsHandle, mut value: V) -> i32 {
    let mut param = null_mut();
    let (from, size) = ((&raw mut value).cast(), size_of::<V>());
    // SAFETY: the value is as long as said; there is a place for the result.
    unsafe { (T.aclrtKernelArgsAppend)(arguments, from, size, &mut param) }
}

#[track_caller]
fn append<V>(arguments: aclrtArgsHandle, value: V) {
    ok(try_append(arguments, value));
}

#[track_caller]
fn finalize(arguments: aclrtArgsHandle) {
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclrtKernelArgsFinalize)(arguments) });
}

fn launch(kernel: aclrtFuncHandle, blocks: u32, stream: Stream, arguments: aclrtArgsHandle) -> i32 {
    let launch = T.aclrtLaunchKernelWithConfig;
    // SAFETY: handles are checked, and the kernels of these tests are what the twin's documentation says.
    unsafe { launch(kernel, blocks, stream, null_mut(), arguments, null_mut()) }
}

#[track_caller]
fn unload(binary: aclrtBinHandle) {
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclrtBinaryUnLoad)(binary) });
}

#[test]
fn a_launch_runs_all_blocks_and_in_order() {
    let _twin = twin();
    let folder = compile();
    let (binary, stream, memory) = (load(&folder), stream(), upload(&[10; 8]));
    let add = kernel(binary, "add");
    for round in 0..2u8 {
        let arguments = begin(add);
        append(arguments, memory);
        append(arguments, 2u32);
        append(arguments, 1 + round);
        finalize(arguments);
        ok(launch(add, 3, stream, arguments));
    }
    synchronize(stream);
    assert_eq!(download(memory, 8), [13, 13, 16, 16, 19, 19, 10, 10]);
    assert_eq!(live(), "1 stream, 1 device allocation, 1 kernel binary");
    unload(binary);
    destroy(stream);
    free(memory);
}

#[test]
fn arguments_lie_as_in_a_structure_of_c() {
    let _twin = twin();
    let folder = compile();
    let (binary, stream, memory) = (load(&folder), stream(), malloc(64));
    let lay = kernel(binary, "lay");
    let arguments = begin(lay);
    append(arguments, memory);
    append(arguments, 7u8);
    append(arguments, u64::MAX - 1);
    append(arguments, u32::MAX - 2);
    append(arguments, [3u64, 4]);
    append(arguments, 5u16);
    finalize(arguments);
    ok(launch(lay, 1, stream, arguments));
    synchronize(stream);
    let bytes = download(memory, 64);
    let words = bytes.chunks_exact(8);
    let words: Vec<_> = words
        .map(|w| u64::from_ne_bytes(w.try_into().unwrap()))
        .collect();
    // The last is what is done: compute and check.
    let expected = [7, u64::MAX - 1, u64::from(u32::MAX - 2), 3, 4, 5, 50, 3];
    assert_eq!(words, expected);
    unload(binary);
    destroy(stream);
    free(memory);
}

#[test]
fn a_kernel_gets_no_memory_but_the_devices() {
    let _twin = twin();
    let folder = compile();
    let (binary, stream) = (load(&folder), stream());
    let (memory, page) = (malloc(64), pinned(64));
    let outside = kernel(binary, "outside");
    let past = memory.wrapping_byte_add(1);
    for (address, bytes, is_outside) in [
        (memory, 64u64, 0),
        (past, 64, 1),
        (page, 8, 1),
        (null_mut(), 8, 1),
        (memory, u64::MAX, 1),
    ] {
        let arguments = begin(outside);
        append(arguments, memory);
        append(arguments, address);
        append(arguments, bytes);
        finalize(arguments);
        ok(launch(outside, 1, stream, arguments));
        synchronize(stream);
        assert_eq!(download(memory, 1), [is_outside]);
    }
    unload(binary);
    destroy(stream);
    free(memory);
    free_pinned(page);
}

#[test]
fn files_that_are_no_binaries_are_refused() {
    let _twin = twin();
    let folder = compile();
    let missing = folder.path().join("missing.so");
    let source = folder.path().join("k.c");
    for (path, why) in [
        (missing.as_path(), "is no file"),
        (folder.path(), "is no file"),
        (source.as_path(), "cannot be loaded"),
        (Path::new("libc.so.6"), "is no file"),
    ] {
        let text = format!("aclrtBinaryLoadFromFile: {} {why}", path.display());
        refused(try_load(path).0, 100_003, &text);
    }
    let mut place = null_mut();
    let load = T.aclrtBinaryLoadFromFile;
    let path = CString::new(folder.path().join("k.so").to_str().unwrap()).unwrap();
    // SAFETY: null is looked at, the path is a text.
    unsafe {
        refused(
            load(null(), null_mut(), &mut place),
            100_000,
            "aclrtBinaryLoadFromFile: the path is a null pointer",
        );
        refused(
            load(path.as_ptr(), null_mut(), null_mut()),
            107_000,
            "aclrtBinaryLoadFromFile: a pointer for a result is null",
        );
    }
}

#[test]
fn kernels_and_arguments_that_are_not_there_are_refused() {
    let _twin = twin();
    let folder = compile();
    let (binary, stream) = (load(&folder), stream());
    let (add, lay) = (kernel(binary, "add"), kernel(binary, "lay"));
    let mut place: *mut c_void = null_mut();
    // SAFETY: handles are checked; texts are texts; there is a place for results.
    unsafe {
        let get = T.aclrtBinaryGetFunction;
        refused(
            get(binary, c"sub".as_ptr(), &mut place),
            107_017,
            "aclrtBinaryGetFunction: the binary has no kernel sub",
        );
        refused(
            get(binary, null(), &mut place),
            107_000,
            "aclrtBinaryGetFunction: the name is a null pointer",
        );
        refused(
            get(stream, c"add".as_ptr(), &mut place),
            107_017,
            "aclrtBinaryGetFunction: there is no such binary",
        );
        refused(
            (T.aclrtKernelArgsInit)(binary, &mut place),
            107_017,
            "aclrtKernelArgsInit: there is no such kernel",
        );
    }
    let arguments = begin(add);
    refused(
        launch(add, 1, stream, arguments),
        107_000,
        "aclrtLaunchKernelWithConfig: the arguments are not finalized",
    );
    refused(
        try_append(arguments, ()),
        107_000,
        "aclrtKernelArgsAppend: an argument has no bytes",
    );
    // `add` of no bytes.
    let memory = malloc(8);
    append(arguments, memory);
    append(arguments, 0u32);
    append(arguments, 0u8);
    finalize(arguments);
    refused(
        try_append(arguments, 1u8),
        107_000,
        "aclrtKernelArgsAppend: the arguments were finalized before",
    );
    refused(
        launch(lay, 1, stream, arguments),
        107_017,
        "aclrtLaunchKernelWithConfig: there are no such arguments of this kernel",
    );
    refused(
        launch(binary, 1, stream, arguments),
        107_017,
        "aclrtLaunchKernelWithConfig: there is no such kernel",
    );
    refused(
        launch(add, 0, stream, arguments),
        107_000,
        "aclrtLaunchKernelWithConfig: a kernel needs at least one block",
    );
    refused(
        launch(add, 1, null_mut(), arguments),
        107_003,
        "aclrtLaunchKernelWithConfig: there is no such stream",
    );
    ok(launch(add, 1, stream, arguments));
    synchronize(stream);
    // Used up.
    let none = "there are no such arguments";
    refused(
        launch(add, 1, stream, arguments),
        107_017,
        &format!("aclrtLaunchKernelWithConfig: {none} of this kernel"),
    );
    refused(
        try_append(arguments, 1u8),
        107_017,
        &format!("aclrtKernelArgsAppend: {none}"),
    );
    // SAFETY: handles are checked.
    let code = unsafe { (T.aclrtKernelArgsFinalize)(arguments) };
    refused(code, 107_017, &format!("aclrtKernelArgsFinalize: {none}"));
    unload(binary);
    destroy(stream);
    free(memory);
}

#[test]
fn a_binary_takes_its_kernels_and_arguments_with_it_but_not_what_runs() {
    let _twin = twin();
    let folder = compile();
    let (binary, stream, memory) = (load(&folder), stream(), upload(&[1; 4]));
    let add = kernel(binary, "add");
    let unused = begin(add);
    let arguments = begin(add);
    append(arguments, memory);
    append(arguments, 4u32);
    append(arguments, 1u8);
    finalize(arguments);
    faults("slow:100");
    ok(launch(add, 1, stream, arguments));
    unload(binary);
    assert_eq!(live(), "1 stream, 1 device allocation");
    refused(
        launch(add, 1, stream, unused),
        107_017,
        "aclrtLaunchKernelWithConfig: there is no such kernel",
    );
    // SAFETY: handles are checked.
    unsafe {
        let code = (T.aclrtBinaryUnLoad)(binary);
        refused(code, 107_017, "aclrtBinaryUnLoad: there is no such binary");
    }
    synchronize(stream);
    assert_eq!(download(memory, 4), [2; 4]);
    destroy(stream);
    free(memory);
}

#[test]
fn a_kernel_that_fails_says_why_and_the_next_stream_works() {
    let _twin = twin();
    let folder = compile();
    let (binary, memory) = (load(&folder), upload(&[1; 4]));
    for (name, why) in [
        ("fail", "fail: line 7 is wrong"),
        ("wordless", "a kernel failed and did not say why"),
    ] {
        let (stream, function) = (stream(), kernel(binary, name));
        let arguments = begin(function);
        finalize(arguments);
        ok(launch(function, 1, stream, arguments));
        // SAFETY: handles are checked.
        let code = unsafe { (T.aclrtSynchronizeStream)(stream) };
        refused(code, 507_015, &format!("aclrtSynchronizeStream: {why}"));
        destroy(stream);
    }
    let (stream, add) = (stream(), kernel(binary, "add"));
    let arguments = begin(add);
    append(arguments, memory);
    append(arguments, 4u32);
    append(arguments, 1u8);
    finalize(arguments);
    ok(launch(add, 1, stream, arguments));
    synchronize(stream);
    assert_eq!(download(memory, 4), [2; 4]);
    assert_eq!(live(), "1 stream, 1 device allocation, 1 kernel binary");
    unload(binary);
    destroy(stream);
    free(memory);
}

#[test]
fn a_launch_of_a_kernel_is_in_the_log() {
    let _twin = twin();
    let folder = compile();
    let (binary, stream) = (load(&folder), stream());
    let add = kernel(binary, "add");
    let arguments = begin(add);
    append(arguments, 0u64);
    append(arguments, 0u32);
    append(arguments, 1u8);
    finalize(arguments);
    ascendit_twin_set_logging(1);
    ok(launch(add, 24, stream, arguments));
    assert_eq!(take_log(), [r#"{"op":"add","blocks":24}"#]);
    ascendit_twin_set_logging(0);
    unload(binary);
    destroy(stream);
}

#[test]
fn a_launch_of_a_kernel_fails_on_demand() {
    let _twin = twin();
    let folder = compile();
    let (binary, memory) = (load(&folder), upload(&[1; 4]));
    let add = kernel(binary, "add");
    let put = |stream| {
        let arguments = begin(add);
        append(arguments, memory);
        append(arguments, 4u32);
        append(arguments, 1u8);
        finalize(arguments);
        ok(launch(add, 1, stream, arguments));
    };
    let first = stream();
    faults("launch:1");
    put(first);
    // SAFETY: handles are checked.
    let code = unsafe { (T.aclrtSynchronizeStream)(first) };
    refused(code, 507_015, "aclrtSynchronizeStream: add fails on demand");
    destroy(first);
    let second = stream();
    faults("hang:1");
    put(second);
    std::thread::sleep(Duration::from_millis(20));
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclrtDestroyStreamForce.unwrap())(second) });
    assert_eq!(download(memory, 4), [1; 4]);
    unload(binary);
    free(memory);
}
