//! The closed set of operations, on one page.
//!
//! Semantic operations (`Attention`, `AdaLayerNorm`, `Rope`, `CausalConv3d`, `GroupNorm`, ...) stay
//! whole so that a backend can use a fused kernel; [`super::expand`] rewrites those that a backend
//! has no kernel for into the primitives. Every operation has one result. Inputs are listed behind
//! each operation in order; `?` marks an input that a flag of the operation announces.

use std::sync::Arc;

use crate::tensor::{DType, HostTensor};

/// One operation of a [`super::Graph`].
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    // Leaves.
    /// A tensor that the caller passes to the program; `()`.
    Input,
    /// A weight, by its index in [`super::Graph::weights`]; `()`.
    Weight(usize),
    /// A tensor known when the graph is built (position tables, masks of padding); `()`.
    Constant(Arc<HostTensor>),

    // Elementwise, with NumPy broadcasting for two operands of one dtype.
    /// `f(x)`; `(x)`.
    Unary(Unary),
    /// `x * mul + add` with scalars; `(x)`.
    Affine {
        /// Factor.
        mul: f32,
        /// Summand.
        add: f32,
    },
    /// `f(a, b)`; `(a, b)`.
    Binary(Binary),
    /// Conversion to another dtype; `(x)`.
    Cast(DType),

    // Products.
    /// `x wᵀ + b` over the last axis; `(x [.., I], w [O, I], b? [O])` → `[.., O]`.
    Linear {
        /// Whether `b` is there.
        bias: bool,
    },
    /// Batched matrix product; `(a [.., M, K], b [.., K, N])`, or `b [.., N, K]` when transposed.
    MatMul {
        /// `b` is given as `[.., N, K]`.
        transpose_b: bool,
    },
    /// Cross-correlation over 1 to 3 spatial axes with zero padding;
    /// `(x [B, C, S..], w [O, C / groups, K..], b? [O])`.
    Conv {
        /// Step per spatial axis.
        stride: Vec<usize>,
        /// Zeros before and after per spatial axis.
        padding: Vec<(usize, usize)>,
        /// Number of channel groups.
        groups: usize,
        /// Whether `b` is there.
        bias: bool,
    },
    /// Convolution over `[B, C, T, H, W]` that sees no later frame: `kt - 1` frames go in front of
    /// `x`, from `cache`, or as repetitions of the first frame;
    /// `(x, w [O, C, kt, kh, kw], b? [O], cache? [B, C, kt - 1, H, W])`.
    CausalConv3d {
        /// Step in `t, h, w`.
        stride: [usize; 3],
        /// Zeros before and after in `h, w`.
        padding: [(usize, usize); 2],
        /// Whether `b` is there.
        bias: bool,
        /// Whether `cache` is there.
        cached: bool,
    },

    // Attention.
    /// `softmax(scale · q kᵀ + mask) v` per head;
    /// `(q [B, L, N, K], k [B, S, N, K], v [B, S, N, V], mask?)` → `[B, L, N, V]`.
    Attention {
        /// Factor of the scores.
        scale: f32,
        /// What the mask input is.
        mask: Mask,
    },
    /// Rotary position embedding; `(x [B, L, N, K], cos [L, K/2] f32, sin [L, K/2] f32)`.
    Rope {
        /// Which channels form a pair.
        pairs: RopePairs,
    },

    // Normalisation; statistics are f32 whatever the dtype.
    /// Zero mean and unit variance along one axis; `(x, w? [C], b? [C])`.
    LayerNorm {
        /// The normalised axis.
        axis: usize,
        /// Added to the variance.
        eps: f32,
        /// Whether `w` and `b` are there.
        affine: bool,
    },
    /// `layer_norm(x) * (1 + scale) + shift` over the last axis;
    /// `(x [B, L, D], shift [B, 1, D], scale [B, 1, D])`.
    AdaLayerNorm {
        /// Added to the variance.
        eps: f32,
    },
    /// `x / sqrt(mean(x²) + eps) * w` over the last axis; `(x, w [D])`.
    RmsNorm {
        /// Added to the mean square.
        eps: f32,
    },
    /// Zero mean and unit variance per group of channels; `(x [B, C, ..], w [C], b [C])`.
    GroupNorm {
        /// Number of groups.
        groups: usize,
        /// Added to the variance.
        eps: f32,
    },
    /// Over the last axis; `(x)`.
    Softmax,
    /// Reduction that keeps the reduced axes with size 1; `(x)`.
    Reduce {
        /// What is computed.
        kind: Reduce,
        /// Over which axes, ascending.
        axes: Vec<usize>,
    },

    // Movement.
    /// The same elements under another shape; `(x)`.
    Reshape(Vec<usize>),
    /// Axis `i` of the result is axis `axes[i]` of the input; `(x)`.
    Permute(Vec<usize>),
    /// `len` entries of an axis; `(x)`.
    Slice {
        /// The axis.
        axis: usize,
        /// First entry.
        start: usize,
        /// Number of entries.
        len: usize,
    },
    /// Joined along an axis; `(x, ..)`.
    Concat {
        /// The axis.
        axis: usize,
    },
    /// Axes of size 1 repeated; `(x)`.
    Expand(Vec<usize>),
    /// Zeros before and after along an axis; `(x)`.
    Pad {
        /// The axis.
        axis: usize,
        /// Zeros in front.
        before: usize,
        /// Zeros behind.
        after: usize,
    },
    /// Rows of a table; `(table [V, D], ids [..] i64)` → `[.., D]`.
    Gather,
    /// Enlargement of the last axes by whole factors, pixel centres at halves
    /// (`align_corners = false`); `(x [B, C, S..])`.
    Resize {
        /// Interpolation.
        mode: ResizeMode,
        /// Factor per spatial axis.
        factors: Vec<usize>,
    },
}

/// Functions of one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// `-x`
    Neg,
    /// `eˣ`
    Exp,
    /// `√x`
    Sqrt,
    /// `sin x`
    Sin,
    /// `cos x`
    Cos,
    /// `tanh x`
    Tanh,
    /// `1 / (1 + e⁻ˣ)`
    Sigmoid,
    /// `x · sigmoid(x)`
    Silu,
    /// `max(x, 0)`
    Relu,
    /// `x Φ(x)` with the error function (Hendrycks and Gimpel 2016).
    Gelu,
    /// The tanh approximation of [`Unary::Gelu`]:
    /// `x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`.
    GeluTanh,
}

/// Functions of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a - b`
    Sub,
    /// `a · b`
    Mul,
    /// `a / b`
    Div,
}

/// What restricts an [`Op::Attention`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mask {
    /// Every query sees every key.
    None,
    /// Row `b` sees its first `lengths[b]` keys; `lengths [B] i64`, each at least 1.
    KeyLengths,
    /// Summand to the scores, broadcast to `[B, N, L, S]`; `bias f32`, rank 4.
    Bias,
    /// Query `i` sees the keys up to `i`.
    Causal,
}

/// Which channels of a head turn together in [`Op::Rope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RopePairs {
    /// Channel `i` with channel `i + K/2`.
    Halves,
    /// Channel `2i` with channel `2i + 1`.
    Neighbours,
}

/// Reductions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reduce {
    /// Arithmetic mean.
    Mean,
    /// Sum.
    Sum,
    /// Largest element.
    Max,
}

/// Interpolations of [`Op::Resize`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResizeMode {
    /// Each entry repeated.
    Nearest,
    /// Linear along each axis, edges held.
    Linear,
}

impl Op {
    /// The operation's name in the text form and in messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Weight(_) => "weight",
            Self::Constant(_) => "constant",
            Self::Unary(unary) => unary.name(),
            Self::Affine { .. } => "affine",
            Self::Binary(Binary::Add) => "add",
            Self::Binary(Binary::Sub) => "sub",
            Self::Binary(Binary::Mul) => "mul",
            Self::Binary(Binary::Div) => "div",
            Self::Cast(_) => "cast",
            Self::Linear { .. } => "linear",
            Self::MatMul { .. } => "matmul",
            Self::Conv { .. } => "conv",
            Self::CausalConv3d { .. } => "causal_conv3d",
            Self::Attention { .. } => "attention",
            Self::Rope { .. } => "rope",
            Self::LayerNorm { .. } => "layer_norm",
            Self::AdaLayerNorm { .. } => "ada_layer_norm",
            Self::RmsNorm { .. } => "rms_norm",
            Self::GroupNorm { .. } => "group_norm",
            Self::Softmax => "softmax",
            Self::Reduce {
                kind: Reduce::Mean, ..
            } => "mean",
            Self::Reduce {
                kind: Reduce::Sum, ..
            } => "sum",
            Self::Reduce {
                kind: Reduce::Max, ..
            } => "max",
            Self::Reshape(_) => "reshape",
            Self::Permute(_) => "permute",
            Self::Slice { .. } => "slice",
            Self::Concat { .. } => "concat",
            Self::Expand(_) => "expand",
            Self::Pad { .. } => "pad",
            Self::Gather => "gather",
            Self::Resize { .. } => "resize",
        }
    }

    /// Whether the operation is an input, a weight or a constant.
    pub fn is_leaf(&self) -> bool {
        matches!(self, Self::Input | Self::Weight(_) | Self::Constant(_))
    }
}

impl Unary {
    /// The function's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Neg => "neg",
            Self::Exp => "exp",
            Self::Sqrt => "sqrt",
            Self::Sin => "sin",
            Self::Cos => "cos",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Silu => "silu",
            Self::Relu => "relu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_tanh",
        }
    }
}
