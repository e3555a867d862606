//! Launches of our own kernels, where there are any for the chip and they take the operands: `None`
//! otherwise, and CANN's operators do the work.
//!
//! Kernels of the VAE read and write channels last. Values there are permuted views of such buffers, so
//! that nothing is moved from one kernel to the next.

use ascendit_kernels::attention::{Attention, AttentionStrides, Masks};
use ascendit_kernels::norm_silu::Norm;
use ascendit_kernels::rope::{Pairs, Rope, Strides};
use ascendit_kernels::upsample::{Chunk, Enlarge};
use ascendit_kernels::vector::PerChannel;
use ascendit_kernels::{
    Chip, Plan, ada_layer_norm, attention, causal_conv3d, gated_residual, norm_silu, rope, upsample,
};

use super::super::call::{Aclnn, KernelCall, Parameter};
use super::super::packing::Packing;
use super::super::view::View;
use super::{Base, Lowering, inverse};
use crate::graph::{Mask, Node, Op, ResizeMode, RopePairs};
use crate::tensor::{DType, numel};

use Parameter::{Input, Null, Output, Workspace};

/// Row length of sums without a gate.
const FLAT_ROW: usize = 1024;

/// What a convolution is beside its operands.
pub(super) struct Convolution {
    pub(super) stride: [usize; 3],
    /// In `h, w`.
    pub(super) padding: [(usize, usize); 2],
}

impl Lowering<'_> {
    /// The chip whose kernels are used for values of a type.
    fn chip(&self, dtype: DType) -> Option<Chip> {
        let chip = self.target.kernels?;
        matches!(dtype, DType::F16 | DType::BF16).then_some(chip)
    }

    /// Launches a kernel with one result.
    fn kernel(&mut self, plan: Plan, parameters: &[Parameter], inputs: Vec<View>, out: &View) {
        let call = KernelCall {
            in_place: plan.kernel.starts_with("gated_residual"),
            plan,
            parameters: parameters.to_vec(),
        };
        self.launch(Aclnn::Kernel(call), inputs, vec![out.clone()]);
    }

    /// Values per channel `[B, 1, C]` or `[C]` as kernels read them beside operands of a type: each row in
    /// one piece; with the number of values from one row to the next, 0 for one row for all.
    fn per_channel(&mut self, view: &View, dtype: DType) -> Option<(View, PerChannel, u64)> {
        let given = match view.dtype {
            DType::F32 => PerChannel::F32,
            own if own == dtype => PerChannel::Narrow,
            _ => return None,
        };
        let last = view.shape.len() - 1;
        let view = match view.strides[last] == 1 || view.shape[last] == 1 {
            true => view.clone(),
            false => self.contiguous(view),
        };
        let stride = match last == 0 || view.shape[0] == 1 {
            true => 0,
            false => view.strides[0] as u64,
        };
        Some((view, given, stride))
    }

    /// `(x [B, L, C], shift [B, 1, C], scale [B, 1, C])`.
    pub(super) fn ada_layer_norm_kernel(&mut self, inputs: &[View], eps: f32) -> Option<View> {
        let chip = self.chip(inputs[0].dtype)?;
        let x = self.contiguous(&inputs[0]);
        let shift = self.per_channel(&inputs[1], x.dtype)?;
        let scale = self.per_channel(&inputs[2], x.dtype)?;
        if (shift.1, shift.2) != (scale.1, scale.2) {
            return None;
        }
        let affine = ada_layer_norm::Affine::Modulation(scale.1, scale.2);
        let plan =
            ada_layer_norm::plan(sizes(&x.shape), affine, eps, x.dtype.name(), &chip).ok()?;
        let out = self.temp(x.dtype, &x.shape);
        let parameters = [Input(0), Input(1), Input(2), Output(0)];
        self.kernel(plan, &parameters, vec![x, shift.0, scale.0], &out);
        Some(out)
    }

    /// `x + gate · y` with a gate per channel, or `x + y` without one, for values that lie alike.
    pub(super) fn residual_kernel(
        &mut self,
        x: &View,
        y: &View,
        gate: Option<&View>,
    ) -> Option<View> {
        let chip = self.chip(x.dtype)?;
        let rank = x.shape.len();
        if rank == 0 || x.shape != y.shape || x.dtype != y.dtype {
            return None;
        }
        let out;
        let (x, y, shape) = match gate {
            Some(_) if rank != 3 => return None,
            Some(_) => {
                let (x, y) = (self.contiguous(x), self.contiguous(y));
                out = self.temp(x.dtype, &x.shape);
                let shape = sizes(&x.shape);
                (x, y, shape)
            }
            None => {
                let order = x.dense_order().filter(|_| x.strides == y.strides)?;
                out = self.temp_like(x, x.dtype);
                // Rows of any length do; many of them go to many cores.
                let elements = numel(&x.shape);
                let columns = match elements % FLAT_ROW {
                    0 => FLAT_ROW,
                    _ => x.shape[order[rank - 1]],
                };
                let shape = [1, elements / columns, columns].map(|n| n as u64);
                (x.clone(), y.clone(), shape)
            }
        };
        let gate = match gate {
            Some(gate) => Some(self.per_channel(gate, x.dtype)?),
            None => None,
        };
        let (given, stride) = gate.as_ref().map_or((PerChannel::None, 0), |g| (g.1, g.2));
        let plan = gated_residual::plan(shape, given, stride, x.dtype.name(), &chip).ok()?;
        let parameter = if gate.is_some() { Input(2) } else { Null };
        let parameters = [Input(0), Input(1), parameter, Output(0)];
        let inputs = [x, y].into_iter().chain(gate.map(|gate| gate.0));
        self.kernel(plan, &parameters, inputs.collect(), &out);
        Some(out)
    }

    /// `(x [B, L, N, K], cos [L, K/2], sin [L, K/2])`, after an RMS norm of the heads by a weight where there
    /// is one. Tokens of `x` may lie apart.
    pub(super) fn rope_kernel(
        &mut self,
        inputs: &[View],
        pairs: RopePairs,
        norm: Option<(&View, f32)>,
    ) -> Option<View> {
        let mut x = inputs[0].clone();
        let chip = self.chip(x.dtype)?;
        let heads_in_one_piece =
            |x: &View| x.strides[3] == 1 && (x.shape[2] == 1 || x.strides[2] == x.shape[3]);
        if !heads_in_one_piece(&x) {
            x = self.contiguous(&x);
        }
        let out = self.temp(x.dtype, &x.shape);
        let strides = |view: &View| Strides {
            batch: view.strides[0] as u64,
            token: view.strides[1] as u64,
        };
        let norm = match norm {
            Some((weight, eps)) => Some((self.per_channel(weight, x.dtype)?, eps)),
            None => None,
        };
        let rope = Rope {
            shape: sizes(&x.shape),
            x: strides(&x),
            out: strides(&out),
            pairs: match pairs {
                RopePairs::Halves => Pairs::Halves(1),
                RopePairs::Neighbours => Pairs::Neighbours,
            },
            table_per_batch: false,
            norm: norm.as_ref().map(|(weight, eps)| (weight.1, *eps)),
        };
        let plan = rope::plan(&rope, x.dtype.name(), &chip).ok()?;
        let [cos, sin] = [1, 2].map(|i| self.contiguous(&inputs[i]));
        let parameter = if norm.is_some() { Input(3) } else { Null };
        let parameters = [Input(0), Input(1), Input(2), parameter, Output(0)];
        let inputs = [x, cos, sin].into_iter().chain(norm.map(|norm| norm.0.0));
        self.kernel(plan, &parameters, inputs.collect(), &out);
        Some(out)
    }

    /// `(q [B, L, N, K], k [B, S, N, K], v [B, S, N, K], mask?)`, wherever tokens and heads lie.
    pub(super) fn attention_kernel(
        &mut self,
        inputs: &[View],
        scale: f32,
        mask: Mask,
    ) -> Option<View> {
        let chip = self.chip(inputs[0].dtype)?;
        let keys = inputs[1].shape[1];
        if inputs[2].shape[3] != inputs[0].shape[3] {
            return None;
        }
        let lengths = mask == Mask::KeyLengths && self.lengths(&inputs[3], keys).is_some();
        // A summand that is the same for all heads and queries.
        let bias = inputs.get(3).filter(|_| mask == Mask::Bias);
        if bias.is_some_and(|bias| bias.shape != [inputs[0].shape[0], 1, 1, keys]) {
            return None;
        }
        let [q, k, v] = [0, 1, 2].map(|i| match inputs[i].strides[3] {
            1 => inputs[i].clone(),
            _ => self.contiguous(&inputs[i]),
        });
        let out = self.temp(q.dtype, &q.shape);
        let strides = |view: &View| AttentionStrides {
            outer: view.strides[0] as u64,
            inner: 0,
            token: view.strides[1] as u64,
            head: view.strides[2] as u64,
        };
        let [batch, queries, heads, head_dim] = sizes(&q.shape);
        let wanted = Attention {
            batch: [batch, 1],
            heads,
            queries,
            keys: keys as u64,
            head_dim,
            q: strides(&q),
            k: strides(&k),
            v: strides(&v),
            out: strides(&out),
            scale,
            masks: Masks {
                lengths,
                bias: bias.is_some(),
                causal: mask == Mask::Causal,
            },
            half_scores: false,
        };
        let plan = attention::plan(&wanted, q.dtype.name(), &chip).ok()?;
        let mut operands = vec![q, k, v];
        let mut masks = [Null; 2];
        if lengths {
            masks[0] = Input(3);
            operands.push(self.narrow_lengths(&inputs[3]));
        }
        if let Some(bias) = bias {
            masks[1] = Input(3);
            let bias = self.cast(bias, DType::F32);
            operands.push(self.contiguous(&bias));
        }
        let tensors = [Input(0), Input(1), Input(2)];
        let parameters = [&tensors[..], &masks, &[Output(0), Workspace]].concat();
        self.kernel(plan, &parameters, operands, &out);
        Some(out)
    }

    /// Lengths in 32 bits; made once for all blocks.
    fn narrow_lengths(&mut self, lengths: &View) -> View {
        if let Some(known) = self.narrow.get(&lengths.base) {
            return known.clone();
        }
        let narrow = self.cast(lengths, DType::I32);
        self.narrow.insert(lengths.base, narrow.clone());
        narrow
    }

    /// Layer norm along an axis of `(x, weight? [C], bias? [C])`, or group norm of `(x [B, C, ..], weight, bias)`
    /// with channels last, followed by SiLU or not.
    pub(super) fn norm_kernel(&mut self, norm: &Op, inputs: &[View], silu: bool) -> Option<View> {
        let chip = self.chip(inputs[0].dtype)?;
        let rank = inputs[0].shape.len();
        let (axis, eps, kind) = match *norm {
            Op::LayerNorm { axis, eps, .. } => (axis, eps, Norm::Layer),
            Op::GroupNorm { groups, eps } => (1, eps, Norm::Group(groups as u64)),
            _ => return None,
        };
        let order: Vec<usize> = (0..rank).filter(|a| *a != axis).chain([axis]).collect();
        let x = self.contiguous(&inputs[0].permute(&order));
        let mut operands = vec![x.clone()];
        let mut given = PerChannel::None;
        let mut parameters = vec![Input(0), Null, Null, Output(0), Workspace];
        if let [weight, bias] = &inputs[1..] {
            let (weight, bias) = (
                self.per_channel(weight, x.dtype)?,
                self.per_channel(bias, x.dtype)?,
            );
            if weight.1 != bias.1 {
                return None;
            }
            given = weight.1;
            operands.extend([weight.0, bias.0]);
            parameters[1..3].copy_from_slice(&[Input(1), Input(2)]);
        }
        let (batch, channels) = (x.shape[0], x.shape[rank - 1]);
        let shape = [batch, numel(&x.shape) / batch / channels, channels].map(|n| n as u64);
        let dtype = x.dtype.name();
        let plan = norm_silu::plan(shape, kind, given, silu, eps, dtype, &chip).ok()?;
        let out = self.temp(x.dtype, &x.shape);
        self.kernel(plan, &parameters, operands, &out);
        Some(out.permute(&inverse(&order)))
    }

    /// `x [B, C, (T,) H, W]` enlarged by two in `H` and `W`, channels last.
    pub(super) fn resize_kernel(
        &mut self,
        x: &View,
        mode: ResizeMode,
        factors: &[usize],
        shape: &[usize],
    ) -> Option<View> {
        let chip = self.chip(x.dtype)?;
        if !matches!(factors, [2, 2] | [1, 2, 2]) {
            return None;
        }
        let space = match mode {
            ResizeMode::Nearest => Enlarge::Nearest,
            ResizeMode::Linear => Enlarge::Linear,
        };
        let order = channels_last(x.shape.len());
        let x = self.contiguous(&x.permute(&order));
        let (frames, inner) = match *x.shape.as_slice() {
            [_, t, h, w, c] => (t, [h, w, c]),
            [_, h, w, c] => (1, [h, w, c]),
            _ => return None,
        };
        let chunk = Chunk {
            frames: frames as u64,
            first: true,
            last: true,
        };
        let (batch, dtype) = (x.shape[0] as u64, x.dtype);
        let inner = inner.map(|n| n as u64);
        let kept = Enlarge::Kept;
        let plan = upsample::plan(batch, chunk, inner, kept, space, dtype.name(), &chip).ok()?;
        let result: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
        let out = self.temp(dtype, &result);
        self.kernel(plan, &[Input(0), Null, Output(0)], vec![x], &out);
        Some(out.permute(&inverse(&order)))
    }

    /// A convolution of `x [B, C, T, H, W]`, channels last, with `cache [B, C, kt - 1, H, W]` in front or its first
    /// frame repeated there, and with a summand of the result's shape.
    pub(super) fn conv_kernel(
        &mut self,
        x: &View,
        [weight, bias]: [Option<&View>; 2],
        [cache, residual]: [Option<&View>; 2],
        convolution: &Convolution,
        shape: &[usize],
    ) -> Option<View> {
        let chip = self.chip(x.dtype)?;
        let weight = weight?;
        let kernel = sizes::<5>(&weight.shape);
        let order = channels_last(5);
        let wanted = causal_conv3d::Shape {
            batch: x.shape[0] as u64,
            size: sizes(&x.shape[2..]),
            channels: x.shape[1] as u64,
            out_channels: kernel[0],
            kernel: [kernel[2], kernel[3], kernel[4]],
            stride: convolution.stride.map(|n| n as u64),
            padding: convolution.padding.map(|(a, b)| (a as u64, b as u64)),
            residual: residual.is_some(),
        };
        let plan = causal_conv3d::plan(&wanted, x.dtype.name(), &chip).ok()?;
        let packed = self.packed(weight, Packing::Convolution(kernel))?;
        let mut operands = vec![self.contiguous(&x.permute(&order)), packed];
        let mut parameters = vec![Input(0), Null, Input(1), Null, Null, Output(0)];
        if let Some(bias) = bias {
            parameters[3] = Input(operands.len());
            operands.push(self.packed(bias, Packing::ConvolutionBias)?);
        }
        for (place, view) in [(1, cache), (4, residual)] {
            if let Some(view) = view {
                parameters[place] = Input(operands.len());
                operands.push(self.contiguous(&view.permute(&order)));
            }
        }
        let result: Vec<usize> = order.iter().map(|&axis| shape[axis]).collect();
        let out = self.temp(x.dtype, &result);
        self.kernel(plan, &parameters, operands, &out);
        Some(out.permute(&inverse(&order)))
    }

    /// A whole weight in the order that a kernel reads.
    fn packed(&mut self, weight: &View, packing: Packing) -> Option<View> {
        let Base::Weight(index, Packing::Stored) = self.bases[weight.base.0] else {
            return None;
        };
        let decl = &self.graph.weights[index];
        let whole = weight.is_contiguous()
            && weight.offset == 0
            && numel(&weight.shape) == numel(&decl.shape);
        if !whole {
            return None;
        }
        Some(self.base(Base::Weight(index, packing), weight.dtype, &weight.shape))
    }

    /// [`Op::CausalConv3d`], with a summand if there is one.
    pub(super) fn causal_conv_kernel(
        &mut self,
        node: &Node,
        residual: Option<&View>,
    ) -> Option<View> {
        let Op::CausalConv3d {
            stride,
            padding,
            bias,
            cached,
        } = node.op
        else {
            return None;
        };
        let inputs: Vec<View> = node
            .inputs
            .iter()
            .map(|id| self.values[id.index()].clone())
            .collect();
        let convolution = Convolution { stride, padding };
        let bias = bias.then(|| &inputs[2]);
        let cache = inputs.last().filter(|_| cached);
        let fixed = [Some(&inputs[1]), bias];
        self.conv_kernel(
            &inputs[0],
            fixed,
            [cache, residual],
            &convolution,
            &node.shape,
        )
    }

    /// [`Op::Conv`] over the pixels of frames, `(x [B, C, H, W], w [O, C, kh, kw], b?)`.
    pub(super) fn flat_conv_kernel(
        &mut self,
        inputs: &[View],
        stride: &[usize],
        padding: &[(usize, usize)],
        groups: usize,
        shape: &[usize],
    ) -> Option<View> {
        let (&[down, across], &[rows, columns], 1) = (stride, padding, groups) else {
            return None;
        };
        let with_frames = |shape: &[usize]| [&shape[..2], &[1], &shape[2..]].concat();
        let volume = |view: &View| view.reshape(&with_frames(&view.shape));
        let (x, weight) = (volume(&inputs[0])?, volume(&inputs[1])?);
        let convolution = Convolution {
            stride: [1, down, across],
            padding: [rows, columns],
        };
        let fixed = [Some(&weight), inputs.get(2)];
        let volume = with_frames(shape);
        let out = self.conv_kernel(&x, fixed, [None; 2], &convolution, &volume)?;
        out.reshape(shape)
    }
}

/// The order of axes that brings channels behind all others.
fn channels_last(rank: usize) -> Vec<usize> {
    [0].into_iter().chain(2..rank).chain([1]).collect()
}

/// As kernels' plans count.
fn sizes<const N: usize>(shape: &[usize]) -> [u64; N] {
    std::array::from_fn(|i| shape[i] as u64)
}
