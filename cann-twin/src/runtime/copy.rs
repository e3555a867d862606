//! Copies between host and device, and filling.

use std::ffi::c_void;
use std::sync::Arc;

use cann_sys::{
    ACL_MEMCPY_DEVICE_TO_DEVICE, ACL_MEMCPY_DEVICE_TO_HOST, ACL_MEMCPY_HOST_TO_DEVICE,
    ACL_MEMCPY_HOST_TO_HOST, aclError, aclrtMemcpyKind, aclrtStream,
};

use super::memory::Block;
use super::{Runtime, ready};
use crate::error::{Failure, Outcome, RT_PARAM_INVALID, RT_SDMA_COPY_ERROR, answer};
use crate::{fault, log};

/// One end of a copy.
enum End {
    Host(usize),
    Device(Arc<Block>, usize),
}

impl End {
    fn pointer(&self) -> *mut u8 {
        match self {
            Self::Host(address) => *address as *mut u8,
            Self::Device(block, address) => block.at(*address),
        }
    }

    fn is_freed(&self) -> bool {
        matches!(self, Self::Device(block, _) if block.is_freed())
    }
}

/// An end of a copy that a `device` does, checked.
fn end(
    held: &Runtime,
    device: usize,
    address: usize,
    bytes: usize,
    on_device: bool,
    what: &str,
) -> Outcome<End> {
    let block = held.heap.find(address, bytes);
    let begins = held.heap.find(address, 0).is_some();
    match (on_device, block) {
        _ if address == 0 => Err(Failure::new(
            RT_PARAM_INVALID,
            format!("the {what} is a null pointer"),
        )),
        (true, Some(block)) if block.device != device => {
            let text = format!(
                "the {what} is memory of device {} and not of device {device}",
                block.device
            );
            Err(Failure::new(RT_PARAM_INVALID, text))
        }
        (true, Some(block)) => Ok(End::Device(block, address)),
        (true, None) if begins => {
            let text = format!("{bytes} bytes of the {what} go past the end of its allocation");
            Err(Failure::new(RT_PARAM_INVALID, text))
        }
        (true, None) => {
            let text = format!("the {what} is not memory of a device");
            Err(Failure::new(RT_PARAM_INVALID, text))
        }
        (false, _) if begins => {
            let text = format!("the {what} is memory of a device and not of the host");
            Err(Failure::new(RT_PARAM_INVALID, text))
        }
        (false, _) => Ok(End::Host(address)),
    }
}

/// The ends of a copy, checked.
fn ends(
    held: &Runtime,
    device: usize,
    dst: usize,
    dst_max: usize,
    src: usize,
    bytes: usize,
    kind: aclrtMemcpyKind,
) -> Outcome<(End, End)> {
    if bytes > dst_max {
        let text = format!("{bytes} bytes do not fit into a target of {dst_max}");
        return Err(Failure::new(RT_PARAM_INVALID, text));
    }
    let (to_device, from_device) = match kind {
        ACL_MEMCPY_HOST_TO_HOST => (false, false),
        ACL_MEMCPY_HOST_TO_DEVICE => (true, false),
        ACL_MEMCPY_DEVICE_TO_HOST => (false, true),
        ACL_MEMCPY_DEVICE_TO_DEVICE => (true, true),
        _ => {
            return Err(Failure::new(
                RT_PARAM_INVALID,
                format!("there is no kind {kind} of copy"),
            ));
        }
    };
    Ok((
        end(held, device, dst, bytes, to_device, "target")?,
        end(held, device, src, bytes, from_device, "source")?,
    ))
}

/// Copies; `broken` copies end half way.
fn run(to: &End, from: &End, bytes: usize, broken: bool) -> Outcome {
    if to.is_freed() || from.is_freed() {
        let text = "memory of the copy was freed before the copy ran";
        return Err(Failure::new(RT_SDMA_COPY_ERROR, text));
    }
    let count = if broken { bytes / 2 } else { bytes };
    // SAFETY: both ends were checked, or are the caller's promise on the host; they may overlap.
    unsafe { std::ptr::copy(from.pointer(), to.pointer(), count) };
    match broken {
        true => {
            let text = format!("the copy broke off after {count} of {bytes} bytes");
            Err(Failure::new(RT_SDMA_COPY_ERROR, text))
        }
        false => Ok(()),
    }
}

/// See the documentation of CANN. With memory of the host that is not pinned, the call waits.
///
/// # Safety
/// Host memory is valid for the bytes until the stream has come here.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn aclrtMemcpyAsync(
    dst: *mut c_void,
    dst_max: usize,
    src: *const c_void,
    bytes: usize,
    kind: aclrtMemcpyKind,
    stream: aclrtStream,
) -> aclError {
    answer(
        "aclrtMemcpyAsync",
        (|| {
            let (to, from, stream, pinned) = {
                let held = ready()?;
                let stream = held.stream(stream)?;
                let (dst, src) = (dst as usize, src as usize);
                let (to, from) = ends(&held, stream.device, dst, dst_max, src, bytes, kind)?;
                let is_pinned = |end: &End| match end {
                    End::Host(address) => held.heap.is_pinned(*address, bytes),
                    End::Device(..) => true,
                };
                let pinned = is_pinned(&to) && is_pinned(&from);
                (to, from, stream, pinned)
            };
            log::line(|| format!(r#"{{"copy":{bytes},"kind":{kind},"pinned":{pinned}}}"#));
            // Counted here and not on the stream, so that the order of calls says which copy fails.
            let broken = fault::hits("copy");
            stream.put(Box::new(move |_| run(&to, &from, bytes, broken)))?;
            match pinned {
                true => Ok(()),
                false => stream.synchronize(None),
            }
        })(),
    )
}

/// See the documentation of CANN.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn aclrtMemsetAsync(
    address: *mut c_void,
    max: usize,
    value: i32,
    bytes: usize,
    stream: aclrtStream,
) -> aclError {
    answer(
        "aclrtMemsetAsync",
        (|| {
            if bytes > max {
                let text = format!("{bytes} bytes do not fit into a target of {max}");
                return Err(Failure::new(RT_PARAM_INVALID, text));
            }
            let (to, stream) = {
                let held = ready()?;
                let stream = held.stream(stream)?;
                let to = end(
                    &held,
                    stream.device,
                    address as usize,
                    bytes,
                    true,
                    "target",
                )?;
                (to, stream)
            };
            stream.put(Box::new(move |_| {
                if to.is_freed() {
                    let text = "memory was freed before it was filled";
                    return Err(Failure::new(RT_SDMA_COPY_ERROR, text));
                }
                // SAFETY: the range was checked to lie in the block.
                unsafe { to.pointer().write_bytes(value as u8, bytes) };
                Ok(())
            }))
        })(),
    )
}
