//! From a launch of a plan to CANN's operator: one arm per operator.

use super::call::{Aclnn, Call};
use super::program::Places;
use super::view::View;
use crate::Result;
use crate::cann::{
    AttentionLayout, Context, ConvArgs, ElementType, FlashArgs, Format, Gelu, Layout, Prepared,
    PromptArgs, Tensor,
};
use crate::graph::Unary;

/// The first phase of a launch over the buffers of one run.
pub(super) fn prepare(context: &Context, call: &Call, places: &Places<'_>) -> Result<Prepared> {
    let operands = call.inputs.iter().chain(&call.outputs);
    let tensors = operands
        .map(|view| tensor(view, format_of(&call.op, view), places))
        .collect::<Result<Vec<_>>>()?;
    let (inputs, outputs) = tensors.split_at(call.inputs.len());
    let (x, out) = (&inputs.first().unwrap_or(&outputs[0]), &outputs[0]);
    let ops = context.ops();
    match &call.op {
        Aclnn::Kernel(_) => unreachable!("kernels are launched as they are"),
        Aclnn::Add => ops.add(x, &inputs[1], out),
        Aclnn::Sub => ops.sub(x, &inputs[1], out),
        Aclnn::Mul => ops.mul(x, &inputs[1], out),
        Aclnn::Div => ops.div(x, &inputs[1], out),
        Aclnn::Adds(value) => ops.add_scalar(x, f64::from(*value), out),
        Aclnn::Muls(value) => ops.mul_scalar(x, f64::from(*value), out),
        Aclnn::Addcmul => ops.addcmul(x, &inputs[1], &inputs[2], 1.0, out),
        Aclnn::Cast => ops.cast(x, ElementType::from(call.outputs[0].dtype), out),
        Aclnn::Unary(f) => match f {
            Unary::Neg => ops.neg(x, out),
            Unary::Exp => ops.exp(x, out),
            Unary::Sqrt => ops.sqrt(x, out),
            Unary::Sin => ops.sin(x, out),
            Unary::Cos => ops.cos(x, out),
            Unary::Tanh => ops.tanh(x, out),
            Unary::Sigmoid => ops.sigmoid(x, out),
            Unary::Silu => ops.silu(x, out),
            Unary::Relu => ops.relu(x, out),
            Unary::Gelu => ops.gelu(x, out),
            Unary::GeluTanh => ops.gelu_v2(x, Gelu::Tanh, out),
        },
        Aclnn::Matmul => ops.matmul(x, &inputs[1], out),
        Aclnn::Addmm => ops.addmm(x, &inputs[1], &inputs[2], out),
        Aclnn::BatchMatMul => ops.batch_matmul(x, &inputs[1], out),
        Aclnn::Convolution {
            stride,
            padding,
            groups,
        } => {
            let signed = |sizes: &[usize]| sizes.iter().map(|&n| n as i64).collect::<Vec<_>>();
            ops.conv(ConvArgs {
                input: x,
                weight: &inputs[1],
                bias: inputs.get(2),
                stride: &signed(stride),
                padding: &signed(padding),
                dilation: &vec![1; stride.len()],
                groups: *groups as i64,
                out,
            })
        }
        Aclnn::FlashAttentionScore { scale } => ops.flash_attention(FlashArgs {
            query: x,
            key: &inputs[1],
            value: &inputs[2],
            bias: None,
            mask: None,
            masked_rows: false,
            heads: call.inputs[0].shape[2],
            scale: f64::from(*scale),
            layout: AttentionLayout::Bsnd,
            softmax_max: &outputs[1],
            softmax_sum: &outputs[2],
            out,
        }),
        Aclnn::PromptFlashAttention { scale, lengths } => ops.prompt_attention(PromptArgs {
            query: x,
            key: &inputs[1],
            value: &inputs[2],
            bias: None,
            mask: None,
            lengths: None,
            key_lengths: lengths.as_ref().map(|lengths| places.lengths(lengths)),
            masked_rows: false,
            half_softmax: false,
            heads: call.inputs[0].shape[2],
            key_heads: call.inputs[1].shape[2],
            scale: f64::from(*scale),
            layout: AttentionLayout::Bsnd,
            out,
        }),
        Aclnn::Softmax => ops.softmax(x, call.inputs[0].shape.len() - 1, out),
        Aclnn::LayerNorm { eps } => {
            let last = &call.inputs[0].shape[call.inputs[0].shape.len() - 1..];
            ops.layer_norm(x, last, inputs.get(1), inputs.get(2), f64::from(*eps), out)
        }
        Aclnn::RmsNorm { eps } => ops.rms_norm(x, &inputs[1], f64::from(*eps), out, &outputs[1]),
        Aclnn::GroupNorm { groups, eps } => ops.group_norm(
            x,
            inputs.get(1),
            inputs.get(2),
            *groups,
            f64::from(*eps),
            out,
            &outputs[1],
            &outputs[2],
        ),
        Aclnn::Mean(axes) => ops.mean(x, axes, out),
        Aclnn::ReduceSum(axes) => ops.sum(x, axes, out),
        Aclnn::Amax(axes) => ops.max(x, axes, out),
        Aclnn::Permute(axes) => ops.permute(x, axes, out),
        Aclnn::Copy => ops.copy(x, out),
        Aclnn::Cat(axis) => ops.cat(&inputs.iter().collect::<Vec<_>>(), *axis, out),
        Aclnn::ConstantPadNd(pads) => ops.pad(x, pads, 0.0, out),
        Aclnn::Embedding => ops.embedding(x, &inputs[1], out),
        Aclnn::UpsampleNearest3d => ops.upsample_nearest(x, volume(call), [0.0; 3], out),
        Aclnn::UpsampleTrilinear3d => ops.upsample_trilinear(x, volume(call), false, [0.0; 3], out),
    }
}

/// The last three axes of the result.
fn volume(call: &Call) -> [usize; 3] {
    let shape = &call.outputs[0].shape;
    [shape[2], shape[3], shape[4]]
}

/// What the axes of an operand mean to the operator.
fn format_of(op: &Aclnn, view: &View) -> Format {
    let spatial = matches!(
        op,
        Aclnn::Convolution { .. } | Aclnn::UpsampleNearest3d | Aclnn::UpsampleTrilinear3d
    );
    match view.shape.len() {
        3 if spatial => Format::Ncl,
        4 if spatial => Format::Nchw,
        5 if spatial => Format::Ncdhw,
        _ => Format::Nd,
    }
}

fn tensor(view: &View, format: Format, places: &Places<'_>) -> Result<Tensor> {
    let (buffer, at) = places.buffer(view);
    Tensor::new(
        buffer,
        Layout {
            dtype: ElementType::from(view.dtype),
            shape: view.shape.clone(),
            strides: view.strides.clone(),
            offset: at / view.dtype.size_bytes() + view.offset,
            format,
        },
    )
}
