//! What the environment sets, each in a process of its own, and what is said when a process ends.

use std::ffi::CStr;
use std::os::unix::process::ExitStatusExt;
use std::ptr::null_mut;

use cann_sys::*;

use crate::twin::*;

fn devices() -> u32 {
    let mut count = u32::MAX;
    // SAFETY: there is a place for the result.
    ok(unsafe { (T.aclrtGetDeviceCount)(&mut count) });
    count
}

#[test]
fn there_is_one_device_unless_told() {
    let _twin = twin();
    assert_eq!(devices(), 1);
}

#[test]
fn there_are_as_many_devices_as_told() {
    let test = "environment::there_are_as_many_devices_as_told";
    if !passes_by_itself(test, &[("ASCENDIT_TWIN_DEVICES", "8")]) {
        let _twin = twin();
        assert_eq!(devices(), 8);
    }
}

#[test]
fn there_are_no_more_than_eight_devices() {
    let test = "environment::there_are_no_more_than_eight_devices";
    if !passes_by_itself(test, &[("ASCENDIT_TWIN_DEVICES", "9")]) {
        let _twin = twin();
        assert_eq!(devices(), 8);
    }
}

#[test]
fn devices_that_are_not_visible_are_not_there() {
    let test = "environment::devices_that_are_not_visible_are_not_there";
    let variables = [
        ("ASCENDIT_TWIN_DEVICES", "4"),
        ("ASCEND_RT_VISIBLE_DEVICES", "3, 1"),
    ];
    if !passes_by_itself(test, &variables) {
        let _twin = twin();
        assert_eq!(devices(), 2);
        // SAFETY: nothing is passed.
        let third = unsafe { (T.aclrtSetDevice)(2) };
        let text = "aclrtSetDevice: there is no device 2; 2 are visible";
        refused(third, 107_001, text);
    }
}

#[test]
fn a_list_of_visible_devices_ends_at_one_that_is_not_there() {
    let test = "environment::a_list_of_visible_devices_ends_at_one_that_is_not_there";
    let variables = [
        ("ASCENDIT_TWIN_DEVICES", "2"),
        ("ASCEND_RT_VISIBLE_DEVICES", "1,2,0"),
    ];
    if !passes_by_itself(test, &variables) {
        let _twin = twin();
        assert_eq!(devices(), 1);
    }
}

/// The name, cube and vector cores, MiB of L2 and GiB of memory of the devices.
fn chip() -> (String, [i64; 4]) {
    let (mut free, mut total) = (0, 0);
    // SAFETY: a text that lasts, and there are places for the results.
    unsafe {
        let name = CStr::from_ptr((T.aclrtGetSocName)()).to_str().unwrap();
        let get = |info| {
            let mut value = 0;
            ok((T.aclGetDeviceCapability)(0, info, &mut value));
            value
        };
        let cube = get(ACL_DEVICE_INFO_AI_CORE_NUM);
        let vector = get(ACL_DEVICE_INFO_VECTOR_CORE_NUM);
        let l2 = get(ACL_DEVICE_INFO_L2_SIZE);
        ok((T.aclrtGetMemInfo)(ACL_HBM_MEM, &mut free, &mut total));
        (name.into(), [cube, vector, l2 >> 20, (total >> 30) as i64])
    }
}

#[test]
fn the_chip_can_be_another() {
    let test = "environment::the_chip_can_be_another";
    if !passes_by_itself(test, &[("ASCENDIT_TWIN_SOC", "Ascend910B4")]) {
        let _twin = twin();
        assert_eq!(chip(), ("Ascend910B4".into(), [20, 40, 96, 32]));
    }
}

#[test]
fn memory_can_be_less() {
    let test = "environment::memory_can_be_less";
    if !passes_by_itself(test, &[("ASCENDIT_TWIN_MEMORY", "4096")]) {
        let _twin = twin();
        let kept = malloc(1000);
        let mut more = null_mut();
        // SAFETY: there is a place for the result.
        unsafe {
            let text = "out of memory: 3009 bytes asked for, 3040 of 4096 are free";
            let text = format!("aclrtMalloc: {text}");
            refused((T.aclrtMalloc)(&mut more, 3009, 0), 207_001, &text);
            assert!(more.is_null());
            ok((T.aclrtMalloc)(&mut more, 3008, 0));
        }
        free(more);
        free(kept);
    }
}

#[test]
fn devices_share_no_memory_and_no_streams() {
    let test = "environment::devices_share_no_memory_and_no_streams";
    if passes_by_itself(test, &[("ASCENDIT_TWIN_DEVICES", "2")]) {
        return;
    }
    let _twin = twin();
    let first = upload(&[1; 8]);
    let number = Number::new(1.0);
    let of_first = stream();
    // SAFETY: host memory is as long as said; handles and addresses are checked.
    unsafe {
        ok((T.aclrtSetDevice)(1));
        let second = upload(&[2; 8]);
        let mut host = [0u8; 8];
        let place = host.as_mut_ptr().cast();
        refused(
            (T.aclrtSynchronizeStream)(of_first),
            107_003,
            "aclrtSynchronizeStream: the stream belongs to another context than this thread's",
        );
        let of_second = stream();
        let copy = |to, from, kind| (T.aclrtMemcpyAsync)(to, 8, from, 8, kind, of_second);
        refused(
            copy(place, first, ACL_MEMCPY_DEVICE_TO_HOST),
            107_000,
            "aclrtMemcpyAsync: the source is memory of device 0 and not of device 1",
        );
        refused(
            copy(first, second, ACL_MEMCPY_DEVICE_TO_DEVICE),
            107_000,
            "aclrtMemcpyAsync: the target is memory of device 0 and not of device 1",
        );
        refused(
            (T.aclrtMemsetAsync)(first, 8, 0, 8, of_second),
            107_000,
            "aclrtMemsetAsync: the target is memory of device 0 and not of device 1",
        );
        // A launch finds out when it runs.
        number.negate(of_second);
        refused(
            (T.aclrtSynchronizeStream)(of_second),
            507_015,
            "aclrtSynchronizeStream: an operator reads outside of the memory of its tensor",
        );
        destroy(of_second);
        assert_eq!(download(second, 8), [2; 8]);
        let (mut one, mut all) = (0, 0);
        ok((T.aclrtGetMemInfo)(ACL_HBM_MEM, &mut one, &mut all));
        assert_eq!(all - one, 64);
        free(second);
        ok((T.aclrtResetDevice)(1));
        ok((T.aclrtSetDevice)(0));
        ok((T.aclrtResetDevice)(0));
    }
    destroy(of_first);
    assert_eq!(number.value(), 1.0);
    number.end();
    free(first);
}

#[test]
fn faults_come_from_the_environment() {
    let test = "environment::faults_come_from_the_environment";
    if !passes_by_itself(test, &[("ASCENDIT_TWIN_FAULT", "init,version:7.5")]) {
        let _alone = alone();
        // SAFETY: no configuration file is passed.
        let code = unsafe { (T.aclInit)(std::ptr::null()) };
        refused(code, 507_000, "aclInit: init fails on demand");
    }
}

#[test]
fn faults_that_are_none_are_told_of() {
    let test = "environment::faults_that_are_none_are_told_of";
    let Some(output) = by_itself(test, &[("ASCENDIT_TWIN_FAULT", "fire:1")]) else {
        let _alone = alone();
        // SAFETY: no configuration file is passed; nothing is passed.
        unsafe {
            ok((T.aclInit)(std::ptr::null()));
            ok((T.aclFinalize)());
        }
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    let line = "twin: ASCENDIT_TWIN_FAULT: \"fire\" is no kind of fault\n";
    assert!(errors.contains(line), "{errors}");
}

#[test]
fn what_is_left_at_the_end_is_told_in_one_line() {
    let test = "environment::what_is_left_at_the_end_is_told_in_one_line";
    let Some(output) = by_itself(test, &[]) else {
        let _alone = alone();
        // SAFETY: no configuration file is passed; nothing is passed.
        unsafe {
            ok((T.aclInit)(std::ptr::null()));
            ok((T.aclrtSetDevice)(0));
            let (first, second) = (malloc(8), malloc(8));
            tensor(first, 2, 1, 0);
            tensor(second, 2, 1, 0);
            stream();
            ok((T.aclFinalize)());
        }
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    let line = "twin: left at the end: 1 open device, 1 stream, 2 device allocations, 2 tensors\n";
    assert!(errors.ends_with(line), "{errors}");
}

#[test]
fn a_process_that_does_not_finalize_is_told_of() {
    let test = "environment::a_process_that_does_not_finalize_is_told_of";
    let Some(output) = by_itself(test, &[]) else {
        let _alone = alone();
        // SAFETY: no configuration file is passed.
        ok(unsafe { (T.aclInit)(std::ptr::null()) });
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    let line = "twin: aclFinalize was not called\n";
    assert!(errors.ends_with(line), "{errors}");
}

#[test]
fn a_clean_process_says_nothing() {
    let test = "environment::a_clean_process_says_nothing";
    let Some(output) = by_itself(test, &[]) else {
        let _twin = twin();
        free(malloc(8));
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("twin:"), "{errors}");
}

/// Runs a test that touches memory of a device by itself; it must die of that.
#[track_caller]
fn dies(test: &str, touch: impl FnOnce(*mut u8)) {
    const SIGSEGV: i32 = 11;
    match by_itself(test, &[]) {
        Some(output) => assert_eq!(output.status.signal(), Some(SIGSEGV), "{output:?}"),
        None => {
            let _twin = twin();
            touch(malloc(4096).cast());
        }
    }
}

#[test]
fn a_host_that_reads_memory_of_a_device_dies() {
    let test = "environment::a_host_that_reads_memory_of_a_device_dies";
    dies(test, |address| {
        // SAFETY: the process ends here.
        std::hint::black_box(unsafe { address.read_volatile() });
    });
}

#[test]
fn a_host_that_writes_memory_of_a_device_dies() {
    let test = "environment::a_host_that_writes_memory_of_a_device_dies";
    dies(test, |address| {
        // SAFETY: the process ends here.
        unsafe { address.add(4095).write_volatile(1) };
    });
}

#[test]
fn the_bytes_around_memory_of_a_device_are_guarded() {
    let test = "environment::the_bytes_around_memory_of_a_device_are_guarded";
    dies(test, |address| {
        // SAFETY: the process ends here.
        unsafe { address.add(4096).write_volatile(1) };
    });
}
