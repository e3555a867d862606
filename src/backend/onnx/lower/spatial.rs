//! Convolutions and enlargement; [`super::causal`] has the causal ones.

use super::super::proto::AttributeProto;
use super::Lowering;
use crate::graph::{Node, ResizeMode};
use crate::tensor::DType;

/// Settings of a convolution, per spatial axis.
pub(super) struct ConvForm<'a> {
    pub(super) stride: &'a [usize],
    pub(super) padding: &'a [(usize, usize)],
    pub(super) groups: usize,
}

impl Lowering<'_> {
    pub(super) fn conv(
        &mut self,
        x: &str,
        w: &str,
        bias: Option<&str>,
        form: &ConvForm<'_>,
    ) -> String {
        let before = form.padding.iter().map(|p| p.0);
        let after = form.padding.iter().map(|p| p.1);
        let attributes = vec![
            AttributeProto::ints("strides", form.stride.iter().copied()),
            AttributeProto::ints("pads", before.chain(after)),
            AttributeProto::int("group", form.groups as i64),
        ];
        let inputs: Vec<&str> = [Some(x), Some(w), bias].into_iter().flatten().collect();
        self.emit("Conv", &inputs, attributes)
    }

    /// Enlargement of `[B, C, S..]`. Axes that stay as they are count as channels, because the
    /// kernels for one and two spatial axes are many times faster than the general one.
    pub(super) fn resize(
        &mut self,
        node: &Node,
        x: &str,
        shape: &[usize],
        mode: ResizeMode,
        factors: &[usize],
    ) -> String {
        match mode {
            ResizeMode::Nearest => {
                let repeated = self.repeat(x, shape, factors);
                self.reshape(&repeated, &node.shape)
            }
            ResizeMode::Linear => {
                // CUDA has no bf16 kernel.
                let wide = match node.dtype {
                    DType::BF16 => self.cast(x, DType::F32),
                    _ => x.to_owned(),
                };
                let kept = factors.iter().take_while(|f| **f == 1).count();
                let (channels, spatial) = shape.split_at(2 + kept);
                let mut factors = factors[kept..].to_vec();
                let mut flat = vec![1, channels.iter().product()];
                flat.extend(spatial);
                if spatial.len() == 1 {
                    flat.insert(2, 1);
                    factors.insert(0, 1);
                }
                let x = self.reshape(&wide, &flat);
                let scales: Vec<f32> = [1, 1].iter().chain(&factors).map(|&f| f as f32).collect();
                let scales = crate::tensor::HostTensor::f32([scales.len()], scales);
                let scales = self.shared_constant(&scales);
                let attributes = vec![
                    AttributeProto::string("mode", "linear"),
                    AttributeProto::string("coordinate_transformation_mode", "half_pixel"),
                ];
                let large = self.emit("Resize", &[&x, "", &scales], attributes);
                let large = self.reshape(&large, &node.shape);
                match node.dtype {
                    DType::BF16 => self.cast(&large, DType::BF16),
                    _ => large,
                }
            }
        }
    }

    /// Each entry of each spatial axis repeated: an axis of size 1 behind each enlarged one, expanded.
    fn repeat(&mut self, x: &str, shape: &[usize], factors: &[usize]) -> String {
        let (mut narrow, mut wide) = (vec![shape[0] * shape[1]], vec![shape[0] * shape[1]]);
        for (&size, &factor) in shape[2..].iter().zip(factors) {
            narrow.push(size);
            wide.push(size);
            if factor > 1 {
                narrow.push(1);
                wide.push(factor);
            }
        }
        let narrow = self.reshape(x, &narrow);
        self.expand(&narrow, &wide)
    }
}
