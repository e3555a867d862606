//! The text form of a graph, for people and for snapshots:
//!
//! ```text
//! %3 = linear(%0, %1, %2) : f32[2, 16, 48]  # blocks.0.attn1
//! ```

use std::fmt::{self, Display, Formatter};

use super::op::{Mask, Op, ResizeMode, RopePairs};
use super::params::ViewStep;
use super::{Graph, Node};
use crate::tensor::describe;

impl Display for Graph {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (id, node) in self.ids().zip(&self.nodes) {
            write!(f, "%{} = {}(", id.0, node.op.name())?;
            match &node.op {
                Op::Input => {
                    let port = self.inputs.iter().find(|p| p.node == id);
                    f.write_str(port.map_or("unnamed", |p| &p.name))?;
                }
                Op::Weight(index) => {
                    f.write_str(&self.weights[*index].name)?;
                    self.weights[*index]
                        .steps
                        .iter()
                        .try_for_each(|step| write!(f, " {step}"))?;
                }
                _ => {
                    for (i, input) in node.inputs.iter().enumerate() {
                        write!(f, "{}%{}", if i == 0 { "" } else { ", " }, input.0)?;
                    }
                }
            }
            write!(
                f,
                "){} : {}",
                Attributes(node),
                describe(node.dtype, &node.shape)
            )?;
            match self.scope_of(id) {
                "" => writeln!(f)?,
                scope => writeln!(f, "  # {scope}")?,
            }
        }
        for port in &self.outputs {
            writeln!(f, "output {} = %{}", port.name, port.node.0)?;
        }
        Ok(())
    }
}

/// What an operation has besides operands and what its result's type does not show.
struct Attributes<'a>(&'a Node);

impl Display for Attributes<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.0.op {
            Op::Affine { mul, add } => write!(f, " mul={mul} add={add}"),
            Op::MatMul { transpose_b: true } => write!(f, " transpose_b"),
            Op::Conv {
                stride,
                padding,
                groups,
                ..
            } => {
                write!(f, " stride={stride:?} padding={padding:?} groups={groups}")
            }
            Op::CausalConv3d {
                stride,
                padding,
                cached,
                ..
            } => {
                write!(f, " stride={stride:?} padding={padding:?} cached={cached}")
            }
            Op::Attention { scale, mask } => {
                let mask = match mask {
                    Mask::None => "none",
                    Mask::KeyLengths => "key_lengths",
                    Mask::Bias => "bias",
                    Mask::Causal => "causal",
                };
                write!(f, " scale={scale} mask={mask}")
            }
            Op::Rope {
                pairs: RopePairs::Halves,
            } => write!(f, " pairs=halves"),
            Op::Rope {
                pairs: RopePairs::Neighbours,
            } => write!(f, " pairs=neighbours"),
            Op::LayerNorm { axis, eps, .. } => write!(f, " axis={axis} eps={eps:e}"),
            Op::AdaLayerNorm { eps } | Op::RmsNorm { eps } => write!(f, " eps={eps:e}"),
            Op::GroupNorm { groups, eps } => write!(f, " groups={groups} eps={eps:e}"),
            Op::Reduce { axes, .. } | Op::Permute(axes) => write!(f, " axes={axes:?}"),
            Op::Slice { axis, start, len } => write!(f, " axis={axis} {start}..{}", start + len),
            Op::Concat { axis } => write!(f, " axis={axis}"),
            Op::Pad {
                axis,
                before,
                after,
            } => write!(f, " axis={axis} before={before} after={after}"),
            Op::Resize { mode, factors } => {
                let mode = match mode {
                    ResizeMode::Nearest => "nearest",
                    ResizeMode::Linear => "linear",
                };
                write!(f, " {mode} factors={factors:?}")
            }
            _ => Ok(()),
        }
    }
}

impl Display for ViewStep {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slice { axis, start, len } => {
                write!(f, "[axis {axis}: {start}..{}]", start + len)
            }
            Self::Split { axis, sizes } => write!(f, "[axis {axis} as {sizes:?}]"),
            Self::Permute(axes) => write!(f, "[permute {axes:?}]"),
        }
    }
}
