//! What goes wrong on demand: once, at its place, with a text, and nothing is left.

use std::ffi::CString;
use std::ptr::null_mut;

use ascendit_cann_twin::ascendit_twin_set_faults;
use cann_sys::*;

use crate::twin::*;

#[test]
fn the_second_allocation_fails_and_the_third_does_not() {
    let _twin = twin();
    faults("malloc:2,hostmem:2");
    let (device, page) = (malloc(8), pinned(8));
    let mut more = null_mut();
    // SAFETY: there is a place for the result.
    unsafe {
        refused(
            (T.aclrtMalloc)(&mut more, 24, 0),
            207_001,
            "aclrtMalloc: out of memory on demand: 24 bytes asked for",
        );
        refused(
            (T.aclrtMallocHost)(&mut more, 24),
            207_001,
            "aclrtMallocHost: out of pinned memory on demand: 24 bytes asked for",
        );
    }
    assert!(more.is_null());
    assert_eq!(live(), "1 device allocation, 1 pinned allocation");
    free(malloc(24));
    free_pinned(pinned(24));
    free(device);
    free_pinned(page);
}

#[test]
fn the_second_of_everything_that_is_made_fails() {
    let _twin = twin();
    faults("setdevice:2,context:2,stream:2,event:2");
    let mut made = null_mut();
    // SAFETY: there are places for the results; handles are checked.
    unsafe {
        ok((T.aclrtSetDevice)(0));
        let text = "aclrtSetDevice: setdevice fails on demand";
        refused((T.aclrtSetDevice)(0), 507_000, text);
        ok((T.aclrtResetDevice)(0));

        ok((T.aclrtCreateContext)(&mut made, 0));
        let first = made;
        let text = "aclrtCreateContext: context fails on demand";
        refused((T.aclrtCreateContext)(&mut made, 0), 507_000, text);
        ok((T.aclrtDestroyContext)(first));
        to_default();

        let first = stream();
        let text = "aclrtCreateStream: no stream is left, on demand";
        refused((T.aclrtCreateStream)(&mut made), 207_005, text);
        destroy(first);
        destroy(stream());

        let first = event();
        let text = "aclrtCreateEventWithFlag: no event is left, on demand";
        refused((T.aclrtCreateEventWithFlag)(&mut made, 0), 207_005, text);
        ok((T.aclrtDestroyEvent)(first));
    }
}

#[test]
fn a_first_phase_fails() {
    let _twin = twin();
    let (number, stream) = (Number::new(1.0), stream());
    faults("prepare:2");
    number.negate(stream);
    let (mut size, mut executor) = (0, null_mut());
    let (x, first) = (number.tensor, T.aclnnNegGetWorkspaceSize);
    // SAFETY: there are places for the results; handles are checked.
    unsafe {
        let text = "aclnnNegGetWorkspaceSize: it fails on demand";
        refused(first(x, x, &mut size, &mut executor), 561_103, text);
    }
    assert!(executor.is_null());
    number.negate(stream);
    synchronize(stream);
    assert_eq!(number.value(), 1.0);
    destroy(stream);
    number.end();
}

#[test]
fn the_order_of_calls_says_which_launch_fails() {
    let _twin = twin();
    let (number, other_number) = (Number::new(1.0), Number::new(2.0));
    let (first, second) = (stream(), stream());
    // The first stream is busy, so that the second one runs its launch before the first does its second.
    faults("launch:2,slow:50");
    number.negate(first);
    number.negate(first);
    other_number.negate(second);
    synchronize(second);
    let text = "aclrtSynchronizeStream: aclnnNeg fails on demand";
    // SAFETY: handles are checked.
    refused(unsafe { (T.aclrtSynchronizeStream)(first) }, 507_015, text);
    destroy(first);
    destroy(second);
    number.end();
    other_number.end();
}

#[test]
fn a_copy_moves_half_and_fails() {
    let _twin = twin();
    let (number, a) = (Number::new(1.0), upload(&[1; 8]));
    let (first, stream) = (stream(), stream());
    let page = pinned(8);
    let text = "the copy broke off after 4 of 8 bytes";
    // SAFETY: the host's side is 8 bytes long, and lives until the stream is waited for.
    unsafe {
        page.cast::<u8>().write_bytes(2, 8);
        faults("copy:1");
        let kind = ACL_MEMCPY_HOST_TO_DEVICE;
        ok((T.aclrtMemcpyAsync)(a, 8, page, 8, kind, first));
        let code = (T.aclrtSynchronizeStream)(first);
        refused(code, 507_013, &format!("aclrtSynchronizeStream: {text}"));
        destroy(first);
        assert_eq!(download(a, 8), [2, 2, 2, 2, 1, 1, 1, 1]);
        page.cast::<u8>().write_bytes(3, 8);
        // Busy, so that all three are queued before the second fails.
        faults("copy:2,slow:100");
        number.negate(stream);
        ok((T.aclrtMemcpyAsync)(a, 4, page, 4, kind, stream));
        ok((T.aclrtMemcpyAsync)(a, 8, page, 8, kind, stream));
        // After the failure, nothing more is copied.
        ok((T.aclrtMemcpyAsync)(a, 8, page, 8, kind, stream));
        let code = (T.aclrtSynchronizeStream)(stream);
        refused(code, 507_013, &format!("aclrtSynchronizeStream: {text}"));
        assert_eq!(download(a, 8), [3, 3, 3, 3, 1, 1, 1, 1]);
    }
    destroy(stream);
    free_pinned(page);
    free(a);
    number.end();
}

#[test]
fn a_lost_device_refuses_all_but_giving_back() {
    let _twin = twin();
    let (number, stream, event) = (Number::new(1.0), stream(), event());
    let page = pinned(8);
    faults("lost:1");
    number.negate(stream);
    // SAFETY: handles are checked; there are places for the results.
    unsafe {
        let code = (T.aclrtSynchronizeStream)(stream);
        let text = "aclrtSynchronizeStream: the device is lost";
        refused(code, 507_010, text);
        let mut place = null_mut();
        let text = |name| format!("{name}: the device is lost");
        refused(
            (T.aclrtMalloc)(&mut place, 8, 0),
            507_010,
            &text("aclrtMalloc"),
        );
        refused(
            (T.aclrtMallocHost)(&mut place, 8),
            507_010,
            &text("aclrtMallocHost"),
        );
        refused(
            (T.aclrtCreateStream)(&mut place),
            507_010,
            &text("aclrtCreateStream"),
        );
        refused(
            (T.aclrtRecordEvent)(event, stream),
            507_010,
            &text("aclrtRecordEvent"),
        );
        refused((T.aclrtSetDevice)(0), 507_010, &text("aclrtSetDevice"));
        refused(
            (T.aclrtMemsetAsync)(number.address, 4, 0, 4, stream),
            507_010,
            &text("aclrtMemsetAsync"),
        );
        refused(
            (T.aclrtMemcpyAsync)(
                page,
                4,
                number.address,
                4,
                ACL_MEMCPY_DEVICE_TO_HOST,
                stream,
            ),
            507_010,
            &text("aclrtMemcpyAsync"),
        );
        let (mut size, mut executor) = (0, null_mut());
        let first = T.aclnnNegGetWorkspaceSize;
        let code = first(number.tensor, number.tensor, &mut size, &mut executor);
        let text = "aclnnNegGetWorkspaceSize: the device is lost";
        refused(code, 507_010, text);
        ok((T.aclrtDestroyEvent)(event));
    }
    destroy(stream);
    free_pinned(page);
    number.end();
}

#[test]
fn a_device_that_is_lost_on_the_way_fails_the_stream() {
    let _twin = twin();
    let (number, stream) = (Number::new(1.0), stream());
    faults("lost:1,slow:50");
    number.negate(stream);
    number.negate(stream);
    // SAFETY: handles are checked.
    let code = unsafe { (T.aclrtSynchronizeStream)(stream) };
    let text = "aclrtSynchronizeStream: the device is lost";
    refused(code, 507_010, text);
    faults("");
    assert_eq!(number.value(), -1.0);
    destroy(stream);
    number.end();
}

#[test]
fn faults_that_are_none_change_nothing() {
    let _twin = twin();
    faults("malloc:1");
    for (list, why) in [
        ("fire:1", "\"fire\" is no kind of fault"),
        ("malloc:x", "\"malloc:x\" has no number"),
        ("malloc:0", "\"malloc:0\" counts from 1"),
        ("version:8", "\"8\" is no version"),
        ("lost:-1", "\"lost:-1\" has no number"),
        ("slow:1.5", "\"slow:1.5\" has no number"),
    ] {
        let text = CString::new(list).unwrap();
        // SAFETY: a text.
        let code = unsafe { ascendit_twin_set_faults(text.as_ptr()) };
        assert_eq!(code, 1, "{list}");
        let text = format!("EZ100000: ascendit_twin_set_faults: {why}");
        assert_eq!(message(), Some(text));
    }
    let mut place = null_mut();
    // SAFETY: there is a place for the result.
    assert_eq!(unsafe { (T.aclrtMalloc)(&mut place, 8, 0) }, 207_001);
    faults("malloc:1");
    // SAFETY: null stands for no faults.
    assert_eq!(unsafe { ascendit_twin_set_faults(std::ptr::null()) }, 0);
    free(malloc(8));
    message();
}
