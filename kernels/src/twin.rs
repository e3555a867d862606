//! Launches on the twin of the cores: a kernel with memory and arguments, and what came of it.
//!
//! ```
//! use ascendit_kernels::twin::{Launch, Memory, Modes, kernel};
//!
//! let mut memory = Memory::default();
//! let a = memory.present(&[1.0f32, 2.0].map(f32::to_le_bytes).concat());
//! assert_eq!(memory.bytes(a)[..4], 1.0f32.to_le_bytes());
//! let mut launch = Launch::new("910B2", 1, Modes::CHECKED);
//! launch.buffer(a, 0).null();
//! assert!(kernel("no_such_kernel").is_none());
//! ```

use std::ffi::{CString, c_char, c_void};

use bytemuck::NoUninit;
use serde::Deserialize;

/// An allocation of the device, as in `twin/entry.h`.
#[repr(C)]
struct LaunchRange {
    address: u64,
    bytes: u64,
    host: *mut u8,
}

/// A launch, as in `twin/entry.h`.
#[repr(C)]
pub(crate) struct LaunchRequest {
    soc: *const c_char,
    blocks: u32,
    modes: u32,
    arguments: *const u8,
    argument_bytes: u64,
    ranges: *const LaunchRange,
    range_count: u64,
    tell: unsafe extern "C" fn(*mut c_void, u32, *const c_char, u64),
    user: *mut c_void,
}

/// A kernel that the twin can launch.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    name: &'static str,
    entry: unsafe extern "C" fn(*const LaunchRequest) -> i32,
}

/// The kernels of this package, by name.
static KERNELS: &[Kernel] = include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// Deliberately broken kernels.
static BROKEN: &[Kernel] = include!(concat!(env!("OUT_DIR"), "/broken.rs"));

/// All kernels of this package; none on systems where they are not compiled.
pub fn kernels() -> &'static [Kernel] {
    KERNELS
}

/// Kernels with a mistake each, with which the checks are tested.
#[doc(hidden)]
pub fn broken_kernels() -> &'static [Kernel] {
    BROKEN
}

/// A kernel by its name.
pub fn kernel(name: &str) -> Option<Kernel> {
    KERNELS.iter().find(|kernel| kernel.name == name).copied()
}

/// The entry of a kernel of a name, for who loads this library as a binary of kernels; null if there is none.
///
/// # Safety
/// `name` is a text that ends in a zero byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn twin_kernel(name: *const c_char) -> *const c_void {
    // SAFETY: the caller's promise.
    let name = unsafe { std::ffi::CStr::from_ptr(name) };
    let found = name.to_str().ok().and_then(kernel);
    found.map_or(std::ptr::null(), |kernel| kernel.entry as *const c_void)
}

/// What the twin does in a launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// The arithmetic and the movement of data.
    pub compute: bool,
    /// Bounds, memory that nobody wrote, races.
    pub check: bool,
    /// A trace of the instructions of the first cores.
    pub trace: bool,
}

impl Modes {
    /// Computes and checks.
    pub const CHECKED: Self = Self {
        compute: true,
        check: true,
        trace: false,
    };
    /// Only times: data may be absent.
    pub const TIMED: Self = Self {
        compute: false,
        check: false,
        trace: false,
    };

    fn bits(self) -> u32 {
        let flags = [self.compute, self.check, self.trace];
        (0..).zip(flags).map(|(i, on)| u32::from(on) << i).sum()
    }
}

/// Memory of a device with allocations, for one or more launches.
#[derive(Debug, Default)]
pub struct Memory {
    allocations: Vec<Allocation>,
}

#[derive(Debug)]
struct Allocation {
    address: u64,
    bytes: u64,
    /// In words of 64 bits, as kernels access whole numbers; none where there are no contents.
    contents: Option<Vec<u64>>,
}

/// An allocation of a [`Memory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer(usize);

/// Where the first allocation lies; none begins where another ends.
const FIRST_ADDRESS: u64 = 0x1000_0000;
const ALIGNMENT: u64 = 512;

impl Memory {
    fn add(&mut self, bytes: u64, contents: Option<Vec<u64>>) -> Buffer {
        let end = |last: &Allocation| last.address + last.bytes.max(1);
        let end = self.allocations.last().map_or(FIRST_ADDRESS, end);
        self.allocations.push(Allocation {
            address: (end + 1).next_multiple_of(ALIGNMENT),
            bytes,
            contents,
        });
        Buffer(self.allocations.len() - 1)
    }

    /// Memory with contents.
    pub fn present(&mut self, bytes: &[u8]) -> Buffer {
        let mut contents = vec![0u64; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut::<u64, u8>(&mut contents)[..bytes.len()].copy_from_slice(bytes);
        self.add(bytes.len() as u64, Some(contents))
    }

    /// Memory full of bytes 0xff, which are NaNs in the types of kernels.
    pub fn poisoned(&mut self, bytes: u64) -> Buffer {
        self.present(&vec![0xff; bytes as usize])
    }

    /// Memory without contents, for launches that are only timed.
    pub fn absent(&mut self, bytes: u64) -> Buffer {
        self.add(bytes, None)
    }

    /// The contents; empty where there are none.
    pub fn bytes(&self, buffer: Buffer) -> &[u8] {
        let Allocation {
            bytes, contents, ..
        } = &self.allocations[buffer.0];
        match contents {
            Some(contents) => &bytemuck::cast_slice(contents)[..*bytes as usize],
            None => &[],
        }
    }
}

/// A launch: where, how, and the arguments.
#[derive(Clone, Debug)]
pub struct Launch {
    soc: String,
    blocks: u32,
    modes: Modes,
    arguments: Vec<Argument>,
}

#[derive(Clone, Debug)]
enum Argument {
    Buffer(Buffer, u64),
    /// Bytes and what their place is a multiple of.
    Bytes(Vec<u8>, usize),
}

impl Launch {
    /// A launch of `blocks` blocks on a chip (`910B2`), without arguments.
    pub fn new(soc: &str, blocks: u32, modes: Modes) -> Self {
        Self {
            soc: soc.to_owned(),
            blocks,
            modes,
            arguments: vec![],
        }
    }

    /// The address of a byte of a buffer.
    pub fn buffer(&mut self, buffer: Buffer, at: u64) -> &mut Self {
        self.arguments.push(Argument::Buffer(buffer, at));
        self
    }

    /// A null pointer.
    pub fn null(&mut self) -> &mut Self {
        self.value(&0u64)
    }

    /// A number or a tiling struct.
    pub fn value<T: NoUninit>(&mut self, value: &T) -> &mut Self {
        let bytes = bytemuck::bytes_of(value).to_vec();
        self.arguments
            .push(Argument::Bytes(bytes, align_of::<T>().max(4)));
        self
    }

    /// The bytes of a tiling struct.
    pub fn tiling(&mut self, bytes: &[u8]) -> &mut Self {
        self.arguments.push(Argument::Bytes(bytes.to_vec(), 8));
        self
    }

    fn block(&self, memory: &Memory) -> Vec<u8> {
        let mut block: Vec<u8> = vec![];
        for argument in &self.arguments {
            match argument {
                Argument::Buffer(buffer, at) => {
                    let address = memory.allocations[buffer.0].address + at;
                    block.resize(block.len().next_multiple_of(8), 0);
                    block.extend(address.to_ne_bytes());
                }
                Argument::Bytes(bytes, alignment) => {
                    block.resize(block.len().next_multiple_of(*alignment), 0);
                    block.extend(bytes);
                }
            }
        }
        block
    }

    /// Runs a kernel.
    ///
    /// # Errors
    /// The text of the fault that ended it: what the kernel did wrong, and where.
    pub fn run(&self, kernel: Kernel, memory: &mut Memory) -> Result<Outcome, String> {
        let soc = CString::new(self.soc.as_str()).map_err(|_| "a chip's name has a zero byte")?;
        let arguments = self.block(memory);
        let range = |allocation: &mut Allocation| LaunchRange {
            address: allocation.address,
            bytes: allocation.bytes,
            host: match &mut allocation.contents {
                Some(contents) => contents.as_mut_ptr().cast(),
                None => std::ptr::null_mut(),
            },
        };
        let ranges: Vec<_> = memory.allocations.iter_mut().map(range).collect();
        let mut told: [Option<String>; 3] = Default::default();
        let request = LaunchRequest {
            soc: soc.as_ptr(),
            blocks: self.blocks,
            modes: self.modes.bits(),
            arguments: arguments.as_ptr(),
            argument_bytes: arguments.len() as u64,
            ranges: ranges.as_ptr(),
            range_count: ranges.len() as u64,
            tell,
            user: (&raw mut told).cast(),
        };
        // SAFETY: the request and all that it points to live until the call ends; the ranges are sorted, as
        // allocations are, and valid for their bytes; the twin lets a kernel access nothing else.
        let code = unsafe { (kernel.entry)(&request) };
        let [fault, outcome, trace] = told;
        if let (0, Some(outcome)) = (code, &outcome) {
            let parsed: Result<Outcome, _> = serde_json::from_str(outcome);
            let outcome = parsed.map_err(|e| format!("{}: {e} in {outcome}", kernel.name))?;
            return Ok(Outcome { trace, ..outcome });
        }
        Err(fault.unwrap_or_else(|| format!("{}: ended with {code}, without a word", kernel.name)))
    }
}

/// Takes a text of the twin.
unsafe extern "C" fn tell(user: *mut c_void, kind: u32, text: *const c_char, bytes: u64) {
    // SAFETY: `user` is what `run` gave, and `text` has so many bytes.
    let (told, text) = unsafe {
        (
            &mut *user.cast::<[Option<String>; 3]>(),
            std::slice::from_raw_parts(text.cast::<u8>(), bytes as usize),
        )
    };
    if let Some(place) = told.get_mut(kind as usize) {
        *place = Some(String::from_utf8_lossy(text).into_owned());
    }
}

impl Kernel {
    /// Its name.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// What a launch took.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Outcome {
    /// Cycles until the last core ended, as the timing model predicts.
    pub cycles: f64,
    /// The same in microseconds at the chip's clock.
    pub microseconds: f64,
    /// Bytes that cores read from global memory.
    pub read: u64,
    /// Bytes that cores wrote there.
    pub written: u64,
    /// Those of them that came from HBM and not from the L2 cache.
    pub hbm_read: u64,
    /// Bytes written back to HBM.
    pub hbm_written: u64,
    /// Each core.
    pub cores: Vec<Core>,
    /// The trace, in the format that Perfetto opens, if one was asked for.
    #[serde(skip)]
    pub trace: Option<String>,
}

/// A core in a launch. Pipes have cycles in which they were busy, and instructions.
#[allow(non_snake_case, missing_docs)] // The pipes' names are those of AscendC.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Core {
    /// A cube core, else a vector core.
    pub cube: bool,
    /// Its block.
    pub block: u32,
    /// Which of the vector cores of the block.
    pub sub: u32,
    /// Cycle at which it ended.
    pub end: f64,
    /// Cycles that vector instructions took longer as their operands lay in the same banks.
    pub bank_conflicts: f64,
    pub S: (f64, u64),
    pub V: (f64, u64),
    pub M: (f64, u64),
    pub MTE1: (f64, u64),
    pub MTE2: (f64, u64),
    pub MTE3: (f64, u64),
    pub FIX: (f64, u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_lie_at_multiples_of_their_sizes() {
        let mut memory = Memory::default();
        let a = memory.present(&[1, 2, 3]);
        let b = memory.absent(10);
        assert_eq!(memory.bytes(a), [1, 2, 3]);
        assert_eq!(memory.bytes(b), [0u8; 0]);
        let mut launch = Launch::new("910B2", 1, Modes::CHECKED);
        launch.value(&7u32).buffer(b, 4).value(&1.5f32).null();
        let block = launch.block(&memory);
        let words: Vec<u64> = block
            .chunks(8)
            .map(|word| u64::from_ne_bytes(word.try_into().unwrap()))
            .collect();
        let address = memory.allocations[b.0].address;
        assert!(address > memory.allocations[a.0].address + 3);
        assert_eq!(words, [7, address + 4, 1.5f32.to_bits().into(), 0]);
    }

    #[test]
    fn modes_are_bits() {
        assert_eq!(Modes::CHECKED.bits(), 3);
        let traced = Modes {
            trace: true,
            ..Modes::TIMED
        };
        assert_eq!(traced.bits(), 4);
    }
}
