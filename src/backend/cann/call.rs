//! Launches: operators over views of buffers, as plain data. Operators are CANN's (aclnn) or kernels of
//! our own.
//!
//! Nothing here knows a device or CANN's library: a plan is made, counted and shown without either.

use ascendit_kernels::Plan;

use super::view::View;
use crate::graph::Unary;
use crate::tensor::numel;

/// One operator on its operands.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// Which operator, with its attributes.
    pub op: Aclnn,
    /// What it reads, in the order of its parameters.
    pub inputs: Vec<View>,
    /// What it writes: the result, then statistics that it must be given room for.
    pub outputs: Vec<View>,
}

/// aclnn operators with their attributes, named after CANN's functions.
#[derive(Clone, Debug, PartialEq)]
pub enum Aclnn {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a · b`.
    Mul,
    /// `a / b`.
    Div,
    /// `x + s`.
    Adds(f32),
    /// `x · s`.
    Muls(f32),
    /// `x + a · b`.
    Addcmul,
    /// Conversion to the output's dtype.
    Cast,
    /// A function of each element.
    Unary(Unary),
    /// `a · b`, `[M, K]` and `[K, N]`.
    Matmul,
    /// `bias + a · b`; `(bias [N], a [M, K], b [K, N])`.
    Addmm,
    /// `a · b`, `[B, M, K]` and `[B, K, N]`.
    BatchMatMul,
    /// Cross-correlation; `(x, weight, bias?)`.
    Convolution {
        /// Step per spatial axis.
        stride: Vec<usize>,
        /// Zeros before and after, per spatial axis.
        padding: Vec<usize>,
        /// Number of channel groups.
        groups: usize,
    },
    /// `softmax(scale · q kᵀ) v`, `[B, L, N, K]`; outputs `(out, max, sum)`, statistics `[B, N, L, 8]` f32.
    FlashAttentionScore {
        /// Factor of the scores.
        scale: f32,
    },
    /// `softmax(scale · q kᵀ) v`, `[B, L, N, K]`, over the first keys of each row.
    PromptFlashAttention {
        /// Factor of the scores.
        scale: f32,
        /// Keys of each row; all where absent.
        lengths: Option<Lengths>,
    },
    /// Over the last axis.
    Softmax,
    /// Over the last axis; `(x, weight?, bias?)`.
    LayerNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// Over the last axis; `(x, weight)`; outputs `(out, rstd)`.
    RmsNorm {
        /// Added to the mean square.
        eps: f32,
    },
    /// `(x [B, C, ..], weight, bias)`; outputs `(out, mean [B, G], rstd [B, G])`.
    GroupNorm {
        /// Number of groups `G`.
        groups: usize,
        /// Added to the variance.
        eps: f32,
    },
    /// Mean over axes, which stay with size 1.
    Mean(Vec<usize>),
    /// Sum over axes, which stay with size 1.
    ReduceSum(Vec<usize>),
    /// Largest element over axes, which stay with size 1.
    Amax(Vec<usize>),
    /// A dense tensor with its axes reordered.
    Permute(Vec<usize>),
    /// A copy between any two views of one shape.
    Copy,
    /// Joined along an axis.
    Cat(usize),
    /// Zeros around; pairs before and after per axis, all axes.
    ConstantPadNd(Vec<(usize, usize)>),
    /// Rows of a table; `(table [V, D], ids)`.
    Embedding,
    /// Each entry of the last three axes repeated.
    UpsampleNearest3d,
    /// Linear between pixel centres along the last three axes.
    UpsampleTrilinear3d,
    /// Not aclnn's: a kernel of our own.
    Kernel(KernelCall),
}

/// A kernel of our own: its plan and where its operands are among the call's.
#[derive(Clone, Debug, PartialEq)]
pub struct KernelCall {
    /// Name, blocks, tiling and counts.
    pub plan: Plan,
    /// In the order of the kernel's parameters; the tiling comes behind them.
    pub parameters: Vec<Parameter>,
    /// Whether the result may lie where an operand of the same size lies.
    pub in_place: bool,
}

/// A parameter of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// The address of one of the call's inputs.
    Input(usize),
    /// The address of one of its outputs.
    Output(usize),
    /// The address of the workspace.
    Workspace,
    /// A null pointer.
    Null,
}

/// Lengths of rows, which CANN reads on the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lengths {
    /// Known when the plan is made.
    Known(Vec<i64>),
    /// The values of one of the graph's inputs.
    Input(usize),
}

impl Aclnn {
    /// CANN's name, or the kernel's.
    pub fn name(&self) -> &str {
        match self {
            Self::Add => "aclnnAdd",
            Self::Sub => "aclnnSub",
            Self::Mul => "aclnnMul",
            Self::Div => "aclnnDiv",
            Self::Adds(_) => "aclnnAdds",
            Self::Muls(_) => "aclnnMuls",
            Self::Addcmul => "aclnnAddcmul",
            Self::Cast => "aclnnCast",
            Self::Unary(f) => match f {
                Unary::Neg => "aclnnNeg",
                Unary::Exp => "aclnnExp",
                Unary::Sqrt => "aclnnSqrt",
                Unary::Sin => "aclnnSin",
                Unary::Cos => "aclnnCos",
                Unary::Tanh => "aclnnTanh",
                Unary::Sigmoid => "aclnnSigmoid",
                Unary::Silu => "aclnnSilu",
                Unary::Relu => "aclnnRelu",
                Unary::Gelu => "aclnnGelu",
                Unary::GeluTanh => "aclnnGeluV2",
            },
            Self::Matmul => "aclnnMatmul",
            Self::Addmm => "aclnnAddmm",
            Self::BatchMatMul => "aclnnBatchMatMul",
            Self::Convolution { .. } => "aclnnConvolution",
            Self::FlashAttentionScore { .. } => "aclnnFlashAttentionScore",
            Self::PromptFlashAttention { .. } => "aclnnPromptFlashAttentionV3",
            Self::Softmax => "aclnnSoftmax",
            Self::LayerNorm { .. } => "aclnnLayerNorm",
            Self::RmsNorm { .. } => "aclnnRmsNorm",
            Self::GroupNorm { .. } => "aclnnGroupNorm",
            Self::Mean(_) => "aclnnMean",
            Self::ReduceSum(_) => "aclnnReduceSum",
            Self::Amax(_) => "aclnnAmax",
            Self::Permute(_) => "aclnnPermute",
            Self::Copy => "aclnnInplaceCopy",
            Self::Cat(_) => "aclnnCat",
            Self::ConstantPadNd(_) => "aclnnConstantPadNd",
            Self::Embedding => "aclnnEmbedding",
            Self::UpsampleNearest3d => "aclnnUpsampleNearest3d",
            Self::UpsampleTrilinear3d => "aclnnUpsampleTrilinear3d",
            Self::Kernel(kernel) => &kernel.plan.kernel,
        }
    }

    /// Whether the result may lie where an operand of the same size lies.
    pub fn works_in_place(&self) -> bool {
        matches!(
            self,
            Self::Kernel(KernelCall { in_place: true, .. })
                | Self::Add
                | Self::Sub
                | Self::Mul
                | Self::Div
                | Self::Adds(_)
                | Self::Muls(_)
                | Self::Addcmul
                | Self::Unary(_)
        )
    }

    /// Whether it only moves elements.
    pub fn is_copy(&self) -> bool {
        matches!(
            self,
            Self::Permute(_) | Self::Copy | Self::Cat(_) | Self::ConstantPadNd(_)
        )
    }
}

impl Call {
    /// Bytes read and written, each operand once.
    pub fn bytes(&self) -> u64 {
        let size = |view: &View| view.unexpanded().size_bytes() as u64;
        let written: u64 = self.outputs.iter().map(size).sum();
        match &self.op {
            Aclnn::Kernel(kernel) => kernel.plan.bytes,
            // Only the chosen rows of the table are read.
            Aclnn::Embedding => size(&self.inputs[1]) + 2 * written,
            _ => self.inputs.iter().map(size).sum::<u64>() + written,
        }
    }

    /// Bytes that CANN reads and writes inside, unasked, to bring operands into one piece. Only copies
    /// are given operands that are not.
    pub fn hidden_bytes(&self) -> u64 {
        let takes_strides = matches!(
            self.op,
            Aclnn::Matmul | Aclnn::Addmm | Aclnn::BatchMatMul | Aclnn::Kernel(_)
        );
        let strided = self
            .inputs
            .iter()
            .filter(|x| !takes_strides && !x.is_contiguous());
        strided.map(|x| 2 * x.size_bytes() as u64).sum()
    }

    /// Floating point operations of products; other operators are bound by memory.
    pub fn flops(&self) -> u64 {
        let elements = |view: &View| numel(&view.shape) as u64;
        let inner = |view: &View| *view.shape.last().unwrap_or(&1) as u64;
        match &self.op {
            Aclnn::Kernel(kernel) => kernel.plan.flops,
            Aclnn::Matmul | Aclnn::BatchMatMul => {
                2 * elements(&self.outputs[0]) * inner(&self.inputs[0])
            }
            Aclnn::Addmm => 2 * elements(&self.outputs[0]) * inner(&self.inputs[1]),
            Aclnn::Convolution { .. } => {
                2 * elements(&self.outputs[0]) * numel(&self.inputs[1].shape[1..]) as u64
            }
            Aclnn::FlashAttentionScore { .. } | Aclnn::PromptFlashAttention { .. } => {
                let (keys, width) = (self.inputs[1].shape[1], inner(&self.inputs[2]));
                2 * (elements(&self.inputs[0])
                    + elements(&self.inputs[0]) / inner(&self.inputs[0]) * width)
                    * keys as u64
            }
            _ => 0,
        }
    }
}
