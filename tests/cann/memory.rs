//! Memory of the device and copies.

use std::sync::Arc;

use ascendit::Error;
use ascendit::cann::Context;
use ascendit::disk::size_text;

use crate::twin::{Device, again, alone, shared};

/// Bytes that are different at every place that a copy could confuse.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8).collect()
}

#[test]
fn bytes_go_to_the_device_and_back() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    // None, one, an odd number, exactly one staging buffer, and several with a rest.
    for len in [0, 1, 1001, 16 << 20, (40 << 20) + 3] {
        let bytes = pattern(len);
        let buffer = device.context.alloc(len + 5).unwrap();
        device.stream.upload(&bytes, &buffer, 5).unwrap();
        let back = device.stream.download(&buffer, 5, len).unwrap();
        assert!(back == bytes, "{len}");
    }
}

#[test]
fn parts_of_an_upload_are_made_in_order() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let bytes = pattern((33 << 20) + 1);
    let buffer = device.context.alloc(bytes.len()).unwrap();
    let mut parts = vec![];
    let fill = |from: usize, part: &mut [u8]| {
        parts.push((from, part.len()));
        part.copy_from_slice(&bytes[from..from + part.len()]);
        Ok(())
    };
    device
        .stream
        .upload_with(bytes.len(), &buffer, 0, fill)
        .unwrap();
    let part = 16 << 20;
    assert_eq!(parts, [(0, part), (part, part), (2 * part, (1 << 20) + 1)]);
    assert!(device.stream.download(&buffer, 0, bytes.len()).unwrap() == bytes);

    let fail = |_: usize, _: &mut [u8]| Err(Error::request("no more"));
    let error = device.stream.upload_with(9, &buffer, 0, fail);
    assert_eq!(error.expect_err("a failure").to_string(), "no more");
    device.stream.upload(&[7], &buffer, 1).unwrap();
    assert_eq!(device.stream.download(&buffer, 0, 3).unwrap(), [0, 7, 2]);
}

#[test]
fn pinned_memory_is_empty_at_first_and_is_uploaded() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let mut pinned = device.context.pinned(300).unwrap();
    assert_eq!(*pinned, [0; 300]);
    pinned.copy_from_slice(&pattern(300));
    let buffer = device.context.alloc(310).unwrap();
    device.stream.upload_pinned(pinned, &buffer, 10).unwrap();
    assert_eq!(
        device.stream.download(&buffer, 10, 300).unwrap(),
        pattern(300)
    );
}

#[test]
fn bytes_are_copied_and_cleared_on_the_device() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let a = device.buffer(&pattern(100));
    let b = device.buffer(&[9; 50]);
    device.stream.copy(&a, 20, &b, 5, 30).unwrap();
    device.stream.zero(&b, 30, 10).unwrap();
    let mut expected = vec![9; 50];
    expected[5..35].copy_from_slice(&pattern(100)[20..50]);
    expected[30..40].fill(0);
    assert_eq!(device.stream.download(&b, 0, 50).unwrap(), expected);
    device.stream.copy(&a, 0, &a, 60, 40).unwrap();
    assert_eq!(device.stream.download(&a, 60, 40).unwrap(), pattern(40));
}

#[test]
fn a_shortage_says_what_was_asked_what_it_is_for_and_what_there_is() {
    let (_guard, cann) = alone();
    let context = Context::new(&cann, 0).unwrap();
    let memory = context.memory().unwrap();
    let free = size_text(memory.free_bytes as u64);
    let total = size_text(memory.total_bytes as u64);
    let text = |purpose: &str| {
        format!(
            "twin:0: aclrtMalloc of 1000.0 TB{purpose} failed (207001 ACL_ERROR_RT_MEMORY_ALLOCATION: \
             not enough memory); CANN says: EZ207001: aclrtMalloc: "
        )
    };
    let error = context.alloc(1_000_000_000_000_000).expect_err("too much");
    assert!(matches!(error, Error::Exhausted { .. }));
    let error = error.to_string();
    assert!(error.starts_with(&text("")), "{error}");
    assert!(
        error.ends_with(&format!(
            "; {free} of {total} are free; make fewer frames or a smaller size, pass --decode-chunk 1, or \
             end other programs that use the card"
        )),
        "{error}"
    );
    let error = context.alloc_for(1_000_000_000_000_000, "the arena");
    let error = error.expect_err("too much").to_string();
    assert!(error.starts_with(&text(" for the arena")), "{error}");
}

#[test]
fn memory_is_given_back() {
    let (_guard, cann) = alone();
    let context = Context::new(&cann, 0).unwrap();
    let before = context.memory().unwrap().free_bytes;
    let buffer = context.alloc(64 << 20).unwrap();
    assert!(context.memory().unwrap().free_bytes <= before - (64 << 20));
    drop(buffer);
    assert_eq!(context.memory().unwrap().free_bytes, before);
}

#[test]
fn devices_have_their_own_memory() {
    let (_guard, cann) = shared();
    if cann.devices().unwrap() < 2 {
        let test = "memory::devices_have_their_own_memory";
        return again(test, "ASCENDIT_TWIN_DEVICES", "2");
    }
    let first = Device::new(&cann);
    let context = Context::new(&cann, 1).unwrap();
    let stream = context.stream().unwrap();
    let a = first.buffer(&[1; 8]);
    let b = context.alloc(8).unwrap();
    stream.upload(&[2; 8], &b, 0).unwrap();
    assert_eq!(first.stream.download(&a, 0, 8).unwrap(), [1; 8]);
    assert_eq!(stream.download(&b, 0, 8).unwrap(), [2; 8]);
    let mixed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = stream.copy(&a, 0, &b, 0, 8);
    }));
    let panic = mixed.expect_err("two devices");
    assert_eq!(
        panic.downcast_ref::<String>().map(String::as_str),
        Some("something of twin:0 in a stream of twin:1")
    );
}

#[test]
fn a_copy_beyond_a_buffer_is_refused_before_it_begins() {
    let (_guard, cann) = shared();
    let device = Device::new(&cann);
    let buffer = device.context.alloc(8).unwrap();
    let beyond = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = device.stream.download(&buffer, 1, 8);
    }));
    let panic = beyond.expect_err("beyond the end");
    assert_eq!(
        panic.downcast_ref::<String>().map(String::as_str),
        Some("8 bytes at 1 are not inside of 8 bytes of device memory")
    );
    assert_eq!(Arc::strong_count(&buffer), 1);
}
