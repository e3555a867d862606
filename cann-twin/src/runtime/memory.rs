//! Memory of devices and pinned memory of the host.
//!
//! An address that is given out for device memory is a reserved range that nobody can read or write:
//! host code that touches device memory by accident dies of it, as it would with a card. The bytes lie
//! elsewhere, in a mapping that only the twin knows, between two guard pages.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

use crate::error::{Failure, Outcome, RT_MEMORY_ALLOCATION};

/// Addresses are multiples of this.
const ALIGNMENT: usize = 512;

/// New memory up to this size is filled with NaNs, so that reading what nobody wrote shows.
const POISONED_UP_TO: usize = 64 << 20;

/// In f32, f16 and bf16 a NaN.
const POISON: u8 = 0xff;

fn page() -> usize {
    rustix::param::page_size()
}

/// An allocation on a device.
pub(crate) struct Block {
    pub(crate) device: usize,
    /// What the caller knows it by.
    pub(crate) address: usize,
    pub(crate) bytes: usize,
    reserved: usize,
    mapping: *mut c_void,
    mapped: usize,
    data: *mut u8,
    freed: AtomicBool,
}

// SAFETY: the mapping belongs to the block; what is read and written there is ordered by streams and by
// the callers, as on a device.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    fn new(device: usize, bytes: usize) -> Outcome<Arc<Self>> {
        let none = |e: rustix::io::Errno| {
            Failure::new(
                RT_MEMORY_ALLOCATION,
                format!("the host has no room for {bytes} bytes of a device: {e}"),
            )
        };
        let page = page();
        let inner = bytes.next_multiple_of(ALIGNMENT).next_multiple_of(page);
        let mapped = inner + 2 * page;
        let reserved = mapped;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE;
        // SAFETY: a new private mapping at an address that the system chooses.
        let address = unsafe { mmap_anonymous(null_mut(), reserved, ProtFlags::empty(), flags) };
        let address = address.map_err(none)?;
        // SAFETY: as above.
        let mapping = unsafe { mmap_anonymous(null_mut(), mapped, ProtFlags::empty(), flags) };
        let mapping = mapping.map_err(|e| {
            // SAFETY: the range was reserved above and nobody knows of it.
            let _ = unsafe { munmap(address, reserved) };
            none(e)
        })?;
        // The end lies at the guard page, so that running over it shows.
        let slack = inner - bytes.next_multiple_of(ALIGNMENT);
        // SAFETY: both places are in the mapping, as `slack` is less than a page.
        let (usable, data) = unsafe { (mapping.byte_add(page), mapping.byte_add(page + slack)) };
        // From here on, dropping the block gives both ranges back.
        let block = Self {
            device,
            address: address as usize + page,
            bytes,
            reserved,
            mapping,
            mapped,
            data: data.cast::<u8>(),
            freed: AtomicBool::new(false),
        };
        // SAFETY: the range lies in the new mapping, a page away from both ends.
        unsafe { mprotect(usable, inner, MprotectFlags::READ | MprotectFlags::WRITE) }
            .map_err(none)?;
        if bytes <= POISONED_UP_TO {
            // SAFETY: `bytes` from `data` on are usable.
            unsafe { block.data.write_bytes(POISON, bytes) };
        }
        Ok(Arc::new(block))
    }

    /// The twin's own place of an address in the block.
    pub(crate) fn at(&self, address: usize) -> *mut u8 {
        debug_assert!(self.holds(address, 0));
        // SAFETY: callers have checked that the address lies in the block.
        unsafe { self.data.add(address - self.address) }
    }

    pub(crate) fn holds(&self, address: usize, bytes: usize) -> bool {
        let end = address.checked_add(bytes);
        address >= self.address && end.is_some_and(|end| end <= self.address + self.bytes)
    }

    /// Whether it was freed: what still uses it is wrong.
    pub(crate) fn is_freed(&self) -> bool {
        self.freed.load(Ordering::Acquire)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: both mappings are the block's own and nothing points into them any more. That they
        // cannot be unmapped is no reason to stop.
        unsafe {
            let _ = munmap(self.mapping, self.mapped);
            let _ = munmap((self.address - page()) as *mut c_void, self.reserved);
        }
    }
}

/// All allocations.
#[derive(Default)]
pub(crate) struct Heap {
    blocks: BTreeMap<usize, Arc<Block>>,
    /// Pinned memory of the host: the address and what it is.
    pinned: BTreeMap<usize, Pinned>,
}

/// Pinned memory: a mapping of its own.
struct Pinned {
    mapping: *mut c_void,
    bytes: usize,
}

// SAFETY: the mapping belongs to it; what is done there is for the callers to order.
unsafe impl Send for Pinned {}

impl Drop for Pinned {
    fn drop(&mut self) {
        // SAFETY: the mapping is its own. That it cannot be unmapped is no reason to stop.
        let _ = unsafe { munmap(self.mapping, self.bytes) };
    }
}

/// What CANN takes for an allocation: a multiple of 32 bytes and 32 more.
fn taken(bytes: usize) -> usize {
    bytes
        .checked_next_multiple_of(32)
        .unwrap_or(usize::MAX)
        .saturating_add(32)
}

impl Heap {
    /// Allocates on a device that has `total` bytes.
    pub(crate) fn alloc(&mut self, device: usize, bytes: usize, total: usize) -> Outcome<usize> {
        let free = total.saturating_sub(self.used(device));
        // However much memory a device is said to have, sizes must be ones that can be counted with.
        if taken(bytes) > free.min(isize::MAX as usize / 2) {
            return Err(Failure::new(
                RT_MEMORY_ALLOCATION,
                format!("out of memory: {bytes} bytes asked for, {free} of {total} are free"),
            ));
        }
        let block = Block::new(device, bytes)?;
        let address = block.address;
        self.blocks.insert(address, block);
        Ok(address)
    }

    pub(crate) fn free(&mut self, address: usize) -> bool {
        match self.blocks.remove(&address) {
            Some(block) => {
                block.freed.store(true, Ordering::Release);
                true
            }
            None => false,
        }
    }

    /// The block that a range lies in.
    pub(crate) fn find(&self, address: usize, bytes: usize) -> Option<Arc<Block>> {
        let (_, block) = self.blocks.range(..=address).next_back()?;
        block.holds(address, bytes).then(|| Arc::clone(block))
    }

    /// The blocks of a device, in the order of their addresses.
    pub(crate) fn of_device(&self, device: usize) -> Vec<Arc<Block>> {
        let of_device = self.blocks.values().filter(|b| b.device == device);
        of_device.cloned().collect()
    }

    pub(crate) fn used(&self, device: usize) -> usize {
        let of_device = self.blocks.values().filter(|b| b.device == device);
        of_device.map(|b| taken(b.bytes)).sum()
    }

    pub(crate) fn count(&self) -> usize {
        self.blocks.len()
    }

    pub(crate) fn pin(&mut self, bytes: usize) -> Outcome<usize> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private mapping at an address that the system chooses.
        let mapping = unsafe { mmap_anonymous(null_mut(), bytes, protection, MapFlags::PRIVATE) };
        let mapping = mapping.map_err(|e| {
            let text = format!("the host has no room for {bytes} bytes: {e}");
            Failure::new(RT_MEMORY_ALLOCATION, text)
        })?;
        self.pinned
            .insert(mapping as usize, Pinned { mapping, bytes });
        Ok(mapping as usize)
    }

    pub(crate) fn unpin(&mut self, address: usize) -> bool {
        self.pinned.remove(&address).is_some()
    }

    pub(crate) fn is_pinned(&self, address: usize, bytes: usize) -> bool {
        let before = self.pinned.range(..=address).next_back();
        let end = address.checked_add(bytes);
        before.is_some_and(|(start, pinned)| end.is_some_and(|end| end <= start + pinned.bytes))
    }

    pub(crate) fn pinned_count(&self) -> usize {
        self.pinned.len()
    }
}
