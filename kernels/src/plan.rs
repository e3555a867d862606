//! What a kernel's launch is before there is memory for it, and the list of kernels that can be timed by a shape.

use crate::chip::Chip;

/// A launch of a kernel for one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The kernel's name in the library, with its type: `rope_f16`.
    pub kernel: String,
    /// How many blocks it runs as.
    pub blocks: u32,
    /// The tiling struct, its last argument.
    pub tiling: Vec<u8>,
    /// Bytes of the workspace that it gets as an argument; 0 if it takes none.
    pub workspace: u64,
    /// Multiplications and additions of the products that must be computed.
    pub flops: u64,
    /// Bytes that must be read and written: each operand once.
    pub bytes: u64,
}

/// An operand of a launch that is only timed, in the order of the kernel's parameters.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// So many bytes of which nobody knows the contents.
    Absent(u64),
    /// Small tables that a kernel reads to find its way.
    Present(Vec<u8>),
    /// A null pointer.
    Null,
}

/// A launch with its operands, all but the tiling struct at the end.
pub type Timed = (Plan, Vec<Operand>);

/// A kernel that can be timed by a shape.
#[derive(Clone, Copy, Debug)]
pub struct Bench {
    /// Its name without the type.
    pub kernel: &'static str,
    /// What its shape is, as in `ROWS,COLUMNS`: as many numbers as names. There may be several forms, with
    /// different numbers of names, as in `B,H,S,D or B,H,SQ,SKV,D`.
    pub shape: &'static str,
    /// Types that it takes.
    pub dtypes: &'static [&'static str],
    /// Plans a launch; the shape has as many numbers as a form of `shape` has names.
    pub plan: fn(shape: &[u64], dtype: &str, chip: &Chip) -> Result<Timed, String>,
}

impl Bench {
    /// The names of the sizes in the form of the shape that has so many.
    pub fn names(&self, sizes: usize) -> Option<&'static str> {
        let mut forms = self.shape.split(" or ");
        forms.find(|form| form.split(',').count() == sizes)
    }
}

/// All of them.
pub const BENCHES: &[Bench] = &[
    crate::ada_layer_norm::BENCH,
    crate::attention::BENCH,
    crate::attention::HALF_SCORES,
    crate::causal_conv3d::BENCH,
    crate::gated_residual::BENCH,
    crate::haar::BENCH,
    crate::norm_silu::BENCH,
    crate::rope::BENCH,
    crate::upsample::BENCH,
    crate::validation::MATMUL,
    crate::validation::ADD,
    crate::validation::MUL,
    crate::validation::SWIGLU,
    crate::validation::CAST,
    crate::validation::COPY,
    crate::validation::RMS_NORM,
    crate::validation::ADD_RMS_NORM,
    crate::validation::LAYER_NORM,
    crate::validation::TRANSPOSE,
    crate::validation::ATTENTION,
];
