//! Profiles of launches.

use std::ffi::c_char;
use std::path::Path;
use std::ptr::{null, null_mut};

use cann_sys::*;

use crate::twin::*;

fn init(folder: &Path) -> i32 {
    let folder = folder.to_str().unwrap();
    let start: *const c_char = folder.as_ptr().cast();
    // SAFETY: the folder's name is as long as said.
    unsafe { (T.aclprofInit.unwrap())(start, folder.len()) }
}

fn config() -> *mut aclprofConfig {
    let mut devices = [0u32];
    let create = T.aclprofCreateConfig.unwrap();
    // SAFETY: there is one device.
    let config = unsafe {
        create(
            devices.as_mut_ptr(),
            1,
            ACL_AICORE_PIPE_UTILIZATION,
            null(),
            0,
        )
    };
    assert!(!config.is_null());
    config
}

/// A number of a line.
fn number(line: &str, name: &str) -> u128 {
    let (_, rest) = line.split_once(&format!("\"{name}\":")).unwrap();
    let end = rest.find([',', '}']).unwrap();
    rest[..end].parse().unwrap()
}

#[test]
fn a_profile_tells_of_launches_between_its_start_and_its_stop() {
    let _twin = twin();
    let folder = tempfile::tempdir().unwrap();
    let (value, one, two) = (Number::new(1.0), stream(), stream());
    ok(init(folder.path()));
    let config = config();
    assert!(live().contains("1 profiling config"));
    value.negate(one);
    synchronize(one);
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclprofStart.unwrap())(config) });
    faults("slow:20");
    value.negate(one);
    value.negate(one);
    synchronize(one);
    value.negate(two);
    synchronize(two);
    // SAFETY: handles are checked.
    ok(unsafe { (T.aclprofStop.unwrap())(config) });
    faults("");
    value.negate(one);
    synchronize(one);
    let text = std::fs::read_to_string(folder.path().join("launches.jsonl")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    let times = lines.iter().map(|line| {
        assert!(
            line.starts_with(r#"{"name":"aclnnNeg","stream":"#),
            "{line}"
        );
        ["queued_ns", "began_ns", "ended_ns"].map(|name| number(line, name))
    });
    let times: Vec<_> = times.collect();
    for [queued, began, ended] in &times {
        assert!(queued + 20_000_000 <= *began && began <= ended, "{text}");
    }
    // The second was queued while the first ran, and began after it.
    assert!(
        times[1][0] < times[0][1] && times[0][2] <= times[1][1],
        "{text}"
    );
    let streams: Vec<_> = lines.iter().map(|line| number(line, "stream")).collect();
    assert!(
        streams[0] == streams[1] && streams[1] != streams[2],
        "{text}"
    );
    // SAFETY: handles are checked.
    unsafe {
        ok((T.aclprofDestroyConfig.unwrap())(config));
        ok((T.aclprofFinalize.unwrap())());
    }
    destroy(one);
    destroy(two);
    value.end();
}

#[test]
fn a_profile_that_was_not_begun_is_refused() {
    let _twin = twin();
    let folder = tempfile::tempdir().unwrap();
    let [start, stop] = [T.aclprofStart.unwrap(), T.aclprofStop.unwrap()];
    let destroy = T.aclprofDestroyConfig.unwrap();
    let finalize = T.aclprofFinalize.unwrap();
    let config = config();
    // SAFETY: handles are checked.
    unsafe {
        refused(
            start(config),
            100_043,
            "aclprofStart: aclprofInit was not called",
        );
        refused(
            finalize(),
            100_043,
            "aclprofFinalize: aclprofInit was not called",
        );
        ok(init(folder.path()));
        refused(
            stop(config),
            100_043,
            "aclprofStop: aclprofStart was not called",
        );
        for wrong in [
            null(),
            folder.path().as_os_str().as_encoded_bytes().as_ptr().cast(),
        ] {
            let text = "there is no such config";
            refused(start(wrong), 100_000, &format!("aclprofStart: {text}"));
            refused(stop(wrong), 100_000, &format!("aclprofStop: {text}"));
            refused(
                destroy(wrong),
                100_000,
                &format!("aclprofDestroyConfig: {text}"),
            );
        }
        ok(destroy(config));
        let text = "aclprofDestroyConfig: there is no such config";
        refused(destroy(config), 100_000, text);
        ok(finalize());
    }
}

#[test]
fn a_profile_needs_a_folder_and_devices() {
    let _twin = twin();
    let nowhere = Path::new("/nowhere/at/all");
    let text = "aclprofInit: /nowhere/at/all is no folder";
    refused(init(nowhere), 100_000, text);
    // SAFETY: null is looked at.
    unsafe {
        let code = (T.aclprofInit.unwrap())(null(), 4);
        refused(code, 100_000, "aclprofInit: there is no folder");
        let create = T.aclprofCreateConfig.unwrap();
        let metrics = ACL_AICORE_PIPE_UTILIZATION;
        assert!(create(null_mut(), 1, metrics, null(), 0).is_null());
    }
    let text = "EZ100000: aclprofCreateConfig: there are no devices";
    assert_eq!(message().as_deref(), Some(text));
}
