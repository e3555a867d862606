//! Memory of the device and pinned memory.

use std::collections::HashSet;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::time::Instant;

use cann_sys::*;

use crate::twin::*;

fn free_bytes() -> usize {
    let (mut free, mut total) = (0, 0);
    // SAFETY: there are places for the results.
    ok(unsafe { (T.aclrtGetMemInfo)(ACL_HBM_MEM, &mut free, &mut total) });
    assert_eq!(total, 64 << 30);
    free
}

#[test]
fn an_allocation_takes_a_multiple_of_32_bytes_and_32_more() {
    let _twin = twin();
    let before = free_bytes();
    for (bytes, taken) in [(1, 64), (32, 64), (33, 96), (1 << 20, (1 << 20) + 32)] {
        let address = malloc(bytes);
        assert_eq!(before - free_bytes(), taken, "{bytes}");
        assert_eq!(address as usize % 512, 0);
        free(address);
        assert_eq!(free_bytes(), before);
    }
}

#[test]
fn addresses_are_multiples_of_512_and_apart() {
    let _twin = twin();
    let began = Instant::now();
    let addresses: Vec<_> = (1..=5000).map(malloc).collect();
    assert!(addresses.iter().all(|a| (*a as usize).is_multiple_of(512)));
    let different: HashSet<_> = addresses.iter().collect();
    assert_eq!(different.len(), addresses.len());
    assert_eq!(live(), "5000 device allocations");
    addresses.into_iter().for_each(free);
    // They cost microseconds each.
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
}

#[test]
fn new_memory_is_nan_in_every_type() {
    let _twin = twin();
    for bytes in [2, 4, 6, 513, 1 << 20] {
        let address = malloc(bytes);
        assert_eq!(download(address, bytes), vec![0xff; bytes]);
        free(address);
    }
    assert!(f32::from_bits(u32::MAX).is_nan());
    assert!(half::f16::from_bits(u16::MAX).is_nan());
    assert!(half::bf16::from_bits(u16::MAX).is_nan());
}

#[test]
fn large_memory_takes_room_of_the_host_only_where_it_is_used() {
    let _twin = twin();
    let began = Instant::now();
    let bytes = 48 << 30;
    let address = malloc(bytes);
    let last = address.wrapping_byte_add(bytes - 8);
    let ones = upload(&[1; 8]);
    // SAFETY: addresses are checked.
    unsafe { copy(last, ones, 8, ACL_MEMCPY_DEVICE_TO_DEVICE) };
    assert_eq!(download(last, 8), [1; 8]);
    assert_eq!(download(address, 8), [0; 8]);
    free(ones);
    free(address);
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}

#[test]
fn memory_that_is_not_there_is_refused() {
    let _twin = twin();
    let mut address = null_mut();
    for bytes in [64 << 30, usize::MAX - 31, usize::MAX] {
        let total = 64usize << 30;
        // SAFETY: there is a place for the result.
        let code = unsafe { (T.aclrtMalloc)(&mut address, bytes, ACL_MEM_MALLOC_HUGE_ONLY) };
        let text = format!("out of memory: {bytes} bytes asked for, {total} of {total} are free");
        refused(code, 207_001, &format!("aclrtMalloc: {text}"));
    }
    let bytes = usize::MAX;
    // SAFETY: there is a place for the result.
    let code = unsafe { (T.aclrtMallocHost)(&mut address, bytes) };
    assert_eq!(code, 207_001);
    let text = message().unwrap();
    let expected = format!("EZ207001: aclrtMallocHost: the host has no room for {bytes} bytes: ");
    assert!(text.starts_with(&expected), "{text}");
    assert!(address.is_null());
}

#[test]
fn memory_of_no_bytes_is_refused() {
    let _twin = twin();
    let mut address = null_mut();
    // SAFETY: there is a place for the result.
    unsafe {
        refused(
            (T.aclrtMalloc)(&mut address, 0, 0),
            107_000,
            "aclrtMalloc: 0 bytes were asked for",
        );
        refused(
            (T.aclrtMallocHost)(&mut address, 0),
            107_000,
            "aclrtMallocHost: 0 bytes were asked for",
        );
    }
}

#[test]
fn memory_is_freed_once_and_by_its_own_address() {
    let _twin = twin();
    let mut host = 0u64;
    let (device, page) = (malloc(1024), pinned(1024));
    let text = "aclrtFree: no allocation of a device begins there";
    let pinned_text = "aclrtFreeHost: no pinned memory begins there";
    let own: *mut c_void = (&raw mut host).cast();
    // SAFETY: addresses are checked.
    unsafe {
        for wrong in [null_mut(), own, device.wrapping_byte_add(512), page] {
            refused((T.aclrtFree)(wrong), 107_000, text);
        }
        for wrong in [null_mut(), own, page.wrapping_byte_add(64), device] {
            refused((T.aclrtFreeHost)(wrong), 107_000, pinned_text);
        }
        free(device);
        free_pinned(page);
        refused((T.aclrtFree)(device), 107_000, text);
        refused((T.aclrtFreeHost)(page), 107_000, pinned_text);
    }
}

#[test]
fn pinned_memory_is_the_hosts() {
    let _twin = twin();
    let page = pinned(1000);
    assert_eq!(live(), "1 pinned allocation");
    // SAFETY: it is 1000 bytes long and nobody else uses it.
    let bytes = unsafe { std::slice::from_raw_parts_mut(page.cast::<u8>(), 1000) };
    bytes.fill(7);
    assert!(bytes.iter().all(|b| *b == 7));
    free_pinned(page);
}
