//! Copies and filling.

use std::ffi::c_void;
use std::ptr::null_mut;

use ascendit_cann_twin::ascendit_twin_set_logging;
use cann_sys::*;

use crate::twin::*;

#[test]
fn a_copy_moves_bytes_each_way() {
    let _twin = twin();
    let bytes: Vec<u8> = (0..=255).collect();
    let (a, b) = (upload(&bytes), malloc(256));
    let (from, to) = (a.wrapping_byte_add(10), b.wrapping_byte_add(20));
    // SAFETY: addresses of the device are checked, those of the host are as long as said.
    unsafe {
        copy(to, from, 50, ACL_MEMCPY_DEVICE_TO_DEVICE);
        assert_eq!(download(to, 50), bytes[10..60]);
        assert_eq!(download(to.wrapping_byte_add(50), 1), [0xff]);
        let mut host = [0u8; 4];
        let (to, from) = (host.as_mut_ptr().cast(), bytes.as_ptr().cast());
        copy(to, from, 4, ACL_MEMCPY_HOST_TO_HOST);
        assert_eq!(host, bytes[..4]);
    }
    free(a);
    free(b);
}

#[test]
fn a_copy_is_checked_before_it_begins() {
    let _twin = twin();
    let (a, b, gone) = (malloc(64), malloc(64), malloc(64));
    free(gone);
    let mut host = [0u8; 128];
    let host: *mut c_void = host.as_mut_ptr().cast();
    let stream = stream();
    use cann_sys::{
        ACL_MEMCPY_DEVICE_TO_DEVICE as D2D, ACL_MEMCPY_DEVICE_TO_HOST as D2H,
        ACL_MEMCPY_HOST_TO_DEVICE as H2D, ACL_MEMCPY_HOST_TO_HOST as H2H,
    };
    let past = |what| format!("65 bytes of the {what} go past the end of its allocation");
    let null = |what| format!("the {what} is a null pointer");
    let on_device = |what| format!("the {what} is memory of a device and not of the host");
    let on_host = |what| format!("the {what} is not memory of a device");
    for (to, max, from, bytes, kind, text) in [
        (
            a,
            63,
            b,
            64,
            D2D,
            "64 bytes do not fit into a target of 63".to_owned(),
        ),
        (a, 65, b, 65, D2D, past("target")),
        (host, 65, b, 65, D2H, past("source")),
        (
            a.wrapping_byte_add(64),
            1,
            b,
            1,
            D2D,
            "1 bytes of the target go past the end of its allocation".to_owned(),
        ),
        (null_mut(), 8, b, 8, D2D, null("target")),
        (host, 8, null_mut(), 8, H2H, null("source")),
        (host, 8, b, 8, H2H, on_device("source")),
        (a, 8, host, 8, H2H, on_device("target")),
        (a, 8, host, 8, D2H, on_device("target")),
        (a, 8, host, 8, D2D, on_host("source")),
        (host, 8, b, 8, H2D, on_host("target")),
        (gone, 8, host, 8, H2D, on_host("target")),
        (host, 8, gone, 8, D2H, on_host("source")),
        (
            a,
            usize::MAX,
            b,
            usize::MAX,
            D2D,
            format!(
                "{} bytes of the target go past the end of its allocation",
                usize::MAX
            ),
        ),
        (a, 8, b, 8, 17, "there is no kind 17 of copy".to_owned()),
    ] {
        // SAFETY: all of these are refused before anything is read.
        unsafe {
            let code = (T.aclrtMemcpyAsync)(to, max, from, bytes, kind, stream);
            refused(code, 107_000, &format!("aclrtMemcpyAsync: {text}"));
        }
    }
    synchronize(stream);
    destroy(stream);
    free(a);
    free(b);
}

#[test]
fn filling_is_checked_and_in_order() {
    let _twin = twin();
    let a = upload(&[1; 64]);
    let stream = stream();
    let mut host = [0u8; 8];
    // SAFETY: addresses are checked.
    unsafe {
        ok((T.aclrtMemsetAsync)(a, 64, 0x1_07, 32, stream));
        ok((T.aclrtMemsetAsync)(a, 64, 9, 16, stream));
        let text = "aclrtMemsetAsync: 65 bytes do not fit into a target of 64";
        refused((T.aclrtMemsetAsync)(a, 64, 0, 65, stream), 107_000, text);
        let text = "65 bytes of the target go past the end of its allocation";
        let text = format!("aclrtMemsetAsync: {text}");
        refused((T.aclrtMemsetAsync)(a, 65, 0, 65, stream), 107_000, &text);
        let text = "aclrtMemsetAsync: the target is not memory of a device";
        let own = host.as_mut_ptr().cast();
        refused((T.aclrtMemsetAsync)(own, 8, 0, 8, stream), 107_000, text);
    }
    synchronize(stream);
    let expected = [[9; 16], [7; 16], [1; 16], [1; 16]].concat();
    assert_eq!(download(a, 64), expected);
    destroy(stream);
    free(a);
}

#[test]
fn only_copies_from_pinned_memory_go_on_by_themselves() {
    let _twin = twin();
    let number = Number::new(1.0);
    let a = malloc(64);
    let page = pinned(64);
    let own = [5u8; 64];
    let stream = stream();
    ascendit_twin_set_logging(1);
    faults("hang:1");
    number.negate(stream);
    // SAFETY: the host's sides are 64 bytes long, and live until the stream is waited for.
    unsafe {
        page.cast::<u8>().write_bytes(6, 64);
        // The stream hangs, and the call does not.
        ok((T.aclrtMemcpyAsync)(
            a,
            64,
            page,
            64,
            ACL_MEMCPY_HOST_TO_DEVICE,
            stream,
        ));
        ok((T.aclrtStreamAbort.unwrap())(stream));
        assert_eq!(download(a, 64), [0xff; 64]);
        ok((T.aclrtMemcpyAsync)(
            a,
            64,
            page,
            64,
            ACL_MEMCPY_HOST_TO_DEVICE,
            stream,
        ));
        synchronize(stream);
        assert_eq!(download(a, 64), [6; 64]);
        // What is not pinned is there when the call is.
        faults("slow:50");
        number.negate(stream);
        let from = own.as_ptr().cast();
        ok((T.aclrtMemcpyAsync)(
            a,
            64,
            from,
            64,
            ACL_MEMCPY_HOST_TO_DEVICE,
            stream,
        ));
        assert_eq!(download(a, 64), own);
    }
    let copies = take_log();
    let copies: Vec<_> = copies
        .iter()
        .filter(|line| line.contains("\"kind\":1"))
        .collect();
    assert_eq!(
        copies,
        [
            r#"{"copy":64,"kind":1,"pinned":true}"#,
            r#"{"copy":64,"kind":1,"pinned":true}"#,
            r#"{"copy":64,"kind":1,"pinned":false}"#,
        ]
    );
    destroy(stream);
    free_pinned(page);
    free(a);
    number.end();
}

#[test]
fn memory_that_only_begins_pinned_is_not_pinned() {
    let _twin = twin();
    let (a, page, stream) = (malloc(8192), pinned(4096), stream());
    ascendit_twin_set_logging(1);
    let inside = page.wrapping_byte_add(4090);
    // SAFETY: the host's side is 6 bytes long, and lives until the stream is waited for.
    unsafe {
        ok((T.aclrtMemcpyAsync)(
            inside,
            6,
            a,
            6,
            ACL_MEMCPY_DEVICE_TO_HOST,
            stream,
        ));
        synchronize(stream);
    }
    assert_eq!(take_log(), [r#"{"copy":6,"kind":2,"pinned":true}"#]);
    destroy(stream);
    free_pinned(page);
    free(a);
}

#[test]
fn memory_that_is_freed_before_its_copy_runs_fails_the_stream() {
    let _twin = twin();
    let number = Number::new(1.0);
    let (a, b, stream) = (malloc(8), malloc(8), stream());
    faults("slow:100");
    number.negate(stream);
    // SAFETY: addresses are checked.
    unsafe {
        ok((T.aclrtMemcpyAsync)(
            a,
            8,
            b,
            8,
            ACL_MEMCPY_DEVICE_TO_DEVICE,
            stream,
        ));
        free(b);
        refused(
            (T.aclrtSynchronizeStream)(stream),
            507_013,
            "aclrtSynchronizeStream: memory of the copy was freed before the copy ran",
        );
    }
    destroy(stream);
    free(a);
    number.end();
}
