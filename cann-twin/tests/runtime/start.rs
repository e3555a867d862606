//! Start and end, versions, devices, contexts, and the last words.

use std::ffi::CStr;
use std::ptr::{null, null_mut};

use cann_sys::*;

use crate::twin::*;

#[test]
fn a_process_starts_once_and_ends_once() {
    let _alone = alone();
    // SAFETY: nothing is passed but null.
    unsafe {
        refused(
            (T.aclFinalize)(),
            100_037,
            "aclFinalize: aclInit was not called",
        );
        ok((T.aclInit)(null()));
        refused(
            (T.aclInit)(null()),
            100_002,
            "aclInit: aclInit was called before",
        );
        ok((T.aclFinalize)());
        refused(
            (T.aclFinalize)(),
            100_037,
            "aclFinalize: aclInit was not called",
        );
    }
}

#[test]
fn nothing_can_be_made_before_the_start() {
    let _alone = alone();
    let mut place = null_mut();
    let mut count = 0u32;
    let (mut free, mut total) = (0usize, 0usize);
    let text = |name: &str| format!("{name}: aclInit was not called");
    // SAFETY: there are places for all results.
    unsafe {
        refused(
            (T.aclrtGetDeviceCount)(&mut count),
            100_001,
            &text("aclrtGetDeviceCount"),
        );
        refused((T.aclrtSetDevice)(0), 100_001, &text("aclrtSetDevice"));
        refused(
            (T.aclrtCreateContext)(&mut place, 0),
            100_001,
            &text("aclrtCreateContext"),
        );
        refused(
            (T.aclrtMalloc)(&mut place, 1, 0),
            100_001,
            &text("aclrtMalloc"),
        );
        refused(
            (T.aclrtMallocHost)(&mut place, 1),
            100_001,
            &text("aclrtMallocHost"),
        );
        refused(
            (T.aclrtCreateStream)(&mut place),
            100_001,
            &text("aclrtCreateStream"),
        );
        refused(
            (T.aclrtCreateEventWithFlag)(&mut place, 0),
            100_001,
            &text("aclrtCreateEventWithFlag"),
        );
        refused(
            (T.aclrtGetMemInfo)(ACL_HBM_MEM, &mut free, &mut total),
            100_001,
            &text("aclrtGetMemInfo"),
        );
        let (mut size, mut executor) = (0, null_mut());
        refused(
            (T.aclnnNegGetWorkspaceSize)(null(), null_mut(), &mut size, &mut executor),
            100_001,
            &text("aclnnNegGetWorkspaceSize"),
        );
    }
    assert!(place.is_null());
    assert_eq!(live(), "");
}

fn version(package: aclCANNPackageName) -> [String; 4] {
    // SAFETY: all of it is arrays of bytes.
    let mut version: aclCANNPackageVersion = unsafe { std::mem::zeroed() };
    let get = T.aclsysGetCANNVersion.unwrap();
    // SAFETY: there is a place for the result.
    ok(unsafe { get(package, &mut version) });
    // SAFETY: the twin ends each with a 0.
    let text = |bytes: &[_]| unsafe { CStr::from_ptr(bytes.as_ptr()) };
    let text = |bytes: &[_]| text(bytes).to_str().unwrap().to_owned();
    [
        text(&version.version),
        text(&version.majorVersion),
        text(&version.minorVersion),
        text(&version.releaseVersion),
    ]
}

#[test]
fn versions_are_those_of_cann_8_1_and_its_driver() {
    let _twin = twin();
    assert_eq!(version(ACL_PKG_NAME_CANN), ["8.1.RC1", "8", "1", "RC1"]);
    assert_eq!(version(ACL_PKG_NAME_DRIVER), ["25.0.rc1", "25", "0", "rc1"]);
    faults("version:9.0");
    assert_eq!(version(ACL_PKG_NAME_CANN)[0], "9.0.RC1");
}

#[test]
fn the_chip_is_a_910b2() {
    let _twin = twin();
    // SAFETY: a text that lasts.
    let name = unsafe { CStr::from_ptr((T.aclrtGetSocName)()) };
    assert_eq!(name.to_str(), Ok("Ascend910B2"));
    for (what, expected) in [
        (ACL_DEVICE_INFO_AI_CORE_NUM, 24),
        (ACL_DEVICE_INFO_VECTOR_CORE_NUM, 48),
        (ACL_DEVICE_INFO_L2_SIZE, 192 << 20),
    ] {
        let mut value = 0;
        // SAFETY: there is a place for the result.
        ok(unsafe { (T.aclGetDeviceCapability)(0, what, &mut value) });
        assert_eq!(value, expected);
    }
    let mut value = 0;
    // SAFETY: there is a place for the result.
    unsafe {
        refused(
            (T.aclGetDeviceCapability)(0, ACL_DEVICE_INFO_UNDEFINED, &mut value),
            100_000,
            "aclGetDeviceCapability: there is no such information",
        );
        refused(
            (T.aclGetDeviceCapability)(1, ACL_DEVICE_INFO_AI_CORE_NUM, &mut value),
            107_001,
            "aclGetDeviceCapability: there is no device 1; 1 are visible",
        );
    }
}

#[test]
fn the_last_words_are_those_of_the_thread_and_are_said_once() {
    let _twin = twin();
    assert_eq!(message(), None);
    // SAFETY: nothing is passed.
    unsafe { (T.aclrtSetDevice)(7) };
    std::thread::spawn(|| assert_eq!(message(), None))
        .join()
        .unwrap();
    // What was given out stays what it was until the next text is given out.
    // SAFETY: the text lasts until then.
    let kept = unsafe { CStr::from_ptr((T.aclGetRecentErrMsg)()) };
    // SAFETY: addresses are checked.
    unsafe { (T.aclrtFree)(null_mut()) };
    assert_eq!(
        kept.to_str(),
        Ok("EZ107001: aclrtSetDevice: there is no device 7; 1 are visible")
    );
    let second = "EZ107000: aclrtFree: no allocation of a device begins there";
    assert_eq!(message().as_deref(), Some(second));
    assert_eq!(message(), None);
}

#[test]
fn devices_that_are_not_there_are_refused() {
    let _twin = twin();
    let mut context = null_mut();
    for device in [-1, 1, i32::MAX, i32::MIN] {
        let text = format!("there is no device {device}; 1 are visible");
        // SAFETY: there is a place for the result.
        unsafe {
            let set = (T.aclrtSetDevice)(device);
            refused(set, 107_001, &format!("aclrtSetDevice: {text}"));
            let created = (T.aclrtCreateContext)(&mut context, device);
            refused(created, 107_001, &format!("aclrtCreateContext: {text}"));
            let reset = (T.aclrtResetDevice)(device);
            refused(reset, 107_001, &format!("aclrtResetDevice: {text}"));
        }
    }
}

/// Whether this thread is in a stream's context: elsewhere it may not be waited for.
fn is_where(stream: aclrtStream) -> bool {
    // SAFETY: handles are checked.
    let code = unsafe { (T.aclrtSynchronizeStream)(stream) };
    assert!([0, 107_003].contains(&code), "{code}");
    code == 0
}

#[test]
fn a_context_belongs_to_a_thread() {
    let _twin = twin();
    let of_default = stream();
    let mut made = null_mut();
    // SAFETY: there is a place for the result; handles are checked.
    unsafe {
        ok((T.aclrtCreateContext)(&mut made, 0));
        let of_made = stream();
        assert!(is_where(of_made) && !is_where(of_default));
        assert_eq!(live(), "1 context, 2 streams");
        let (handle, number) = (made as usize, of_made as usize);
        let other = std::thread::spawn(move || {
            let mut place = null_mut();
            refused(
                (T.aclrtMalloc)(&mut place, 1, 0),
                107_002,
                "aclrtMalloc: this thread has no current context",
            );
            ok((T.aclrtSetCurrentContext)(handle as aclrtContext));
            assert!(is_where(number as aclrtStream));
        });
        other.join().unwrap();
        destroy(of_made);
        ok((T.aclrtDestroyContext)(made));
        let gone = "there is no such context";
        refused(
            (T.aclrtDestroyContext)(made),
            107_002,
            &format!("aclrtDestroyContext: {gone}"),
        );
        refused(
            (T.aclrtSetCurrentContext)(made),
            107_002,
            &format!("aclrtSetCurrentContext: {gone}"),
        );
        to_default();
    }
    assert!(is_where(of_default));
    destroy(of_default);
}

#[test]
fn a_context_that_is_gone_is_current_nowhere() {
    let _twin = twin();
    let (mut made, mut place) = (null_mut(), null_mut());
    // SAFETY: there are places for the results; handles are checked.
    unsafe {
        ok((T.aclrtCreateContext)(&mut made, 0));
        ok((T.aclrtDestroyContext)(made));
        refused(
            (T.aclrtMalloc)(&mut place, 1, 0),
            107_002,
            "aclrtMalloc: this thread has no current context",
        );
    }
}

#[test]
fn a_device_is_used_until_all_have_reset_it() {
    let _twin = twin();
    // SAFETY: nothing is passed, and there is a place for the result.
    unsafe {
        ok((T.aclrtSetDevice)(0));
        assert_eq!(live(), "2 open devices");
        ok((T.aclrtResetDevice)(0));
        free(malloc(8));
        ok((T.aclrtResetDevice)(0));
        let mut place = null_mut();
        refused(
            (T.aclrtMalloc)(&mut place, 1, 0),
            107_002,
            "aclrtMalloc: this thread has no current context",
        );
        refused(
            (T.aclrtResetDevice)(0),
            107_000,
            "aclrtResetDevice: device 0 is not in use",
        );
        ok((T.aclrtSetDevice)(0));
        free(malloc(8));
    }
}

#[test]
fn results_need_a_place_and_nothing_is_lost_without_one() {
    let _twin = twin();
    let text = |name: &str| format!("{name}: a pointer for a result is null");
    // SAFETY: null is what is looked at.
    unsafe {
        refused(
            (T.aclrtMalloc)(null_mut(), 8, 0),
            107_000,
            &text("aclrtMalloc"),
        );
        refused(
            (T.aclrtMallocHost)(null_mut(), 8),
            107_000,
            &text("aclrtMallocHost"),
        );
        refused(
            (T.aclrtCreateStream)(null_mut()),
            107_000,
            &text("aclrtCreateStream"),
        );
        refused(
            (T.aclrtCreateEventWithFlag)(null_mut(), 0),
            107_000,
            &text("aclrtCreateEventWithFlag"),
        );
        refused(
            (T.aclrtCreateContext)(null_mut(), 0),
            107_000,
            &text("aclrtCreateContext"),
        );
        refused(
            (T.aclrtGetDeviceCount)(null_mut()),
            107_000,
            &text("aclrtGetDeviceCount"),
        );
    }
    assert_eq!(live(), "");
}
