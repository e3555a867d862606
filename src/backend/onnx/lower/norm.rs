//! Normalisations.

use super::super::proto::AttributeProto;
use super::Lowering;
use crate::graph::Node;
use crate::tensor::DType;

impl Lowering<'_> {
    /// Along one axis. The kernel takes the last axis only; another one is brought there and back.
    pub(super) fn layer_norm(
        &mut self,
        node: &Node,
        x: &str,
        axis: usize,
        eps: f32,
        affine: Option<[&str; 2]>,
    ) -> String {
        let affine = affine.map(|names| {
            [1, 2].map(|i| self.as_dtype(names[i - 1], self.dtype(node.inputs[i]), node.dtype))
        });
        let rank = node.shape.len();
        let affine = affine.as_ref().map(|[w, b]| [w.as_str(), b.as_str()]);
        if axis + 1 == rank {
            return self.last_axis_norm(x, node.dtype, node.shape[axis], eps, affine);
        }
        // [before, axis, after] → [before, after, axis]
        let before: usize = node.shape[..axis].iter().product();
        let after: usize = node.shape[axis + 1..].iter().product();
        let rows = self.reshape(x, &[before, node.shape[axis], after]);
        let columns = self.transpose(&rows, &[0, 2, 1]);
        let normed = self.last_axis_norm(&columns, node.dtype, node.shape[axis], eps, affine);
        let rows = self.transpose(&normed, &[0, 2, 1]);
        self.reshape(&rows, &node.shape)
    }

    fn last_axis_norm(
        &mut self,
        x: &str,
        dtype: DType,
        size: usize,
        eps: f32,
        affine: Option<[&str; 2]>,
    ) -> String {
        let attributes = vec![
            AttributeProto::int("axis", -1),
            AttributeProto::float("epsilon", eps),
        ];
        match affine {
            Some([w, b]) => self.emit("LayerNormalization", &[x, w, b], attributes),
            None => {
                let ones = self.filled(dtype, 1.0, &[size]);
                self.emit("LayerNormalization", &[x, &ones], attributes)
            }
        }
    }

    /// `layer_norm(x) * (1 + scale) + shift`. With one row of the batch, the modulation is the
    /// normalisation's own weight and bias.
    pub(super) fn ada_layer_norm(&mut self, node: &Node, inputs: &[String], eps: f32) -> String {
        let (dtype, shape) = (node.dtype, &node.shape);
        let given = self.dtype(node.inputs[1]);
        let one = self.scalar(given, 1.0);
        let factor = self.emit("Add", &[&inputs[2], &one], vec![]);
        let factor = self.as_dtype(&factor, given, dtype);
        let shift = self.as_dtype(&inputs[1], given, dtype);
        if shape[0] == 1 {
            let [factor, shift] = [factor, shift].map(|row| self.reshape(&row, &[shape[2]]));
            return self.last_axis_norm(&inputs[0], dtype, shape[2], eps, Some([&factor, &shift]));
        }
        let normed = self.last_axis_norm(&inputs[0], dtype, shape[2], eps, None);
        let scaled = self.emit("Mul", &[&normed, &factor], vec![]);
        self.emit("Add", &[&scaled, &shift], vec![])
    }

    pub(super) fn rms_norm(&mut self, node: &Node, inputs: &[String], eps: f32) -> String {
        let weight = self.as_dtype(&inputs[1], self.dtype(node.inputs[1]), node.dtype);
        let attributes = vec![
            AttributeProto::int("axis", -1),
            AttributeProto::float("epsilon", eps),
            AttributeProto::int("stash_type", 1),
        ];
        self.emit(
            "SimplifiedLayerNormalization",
            &[&inputs[0], &weight],
            attributes,
        )
    }

    /// A group is one channel of an instance normalisation over all that is in it.
    pub(super) fn group_norm(
        &mut self,
        node: &Node,
        inputs: &[String],
        groups: usize,
        eps: f32,
    ) -> String {
        let (dtype, shape) = (node.dtype, &node.shape);
        let inner = shape[1..].iter().product::<usize>() / groups;
        let x = self.reshape(&inputs[0], &[shape[0], groups, inner]);
        let ones = self.filled(dtype, 1.0, &[groups]);
        let zeros = self.filled(dtype, 0.0, &[groups]);
        let attributes = vec![AttributeProto::float("epsilon", eps)];
        let normed = self.emit("InstanceNormalization", &[&x, &ones, &zeros], attributes);
        let normed = self.reshape(&normed, shape);
        let mut row = vec![1; shape.len() - 1];
        row[0] = shape[1];
        let [w, b] = [1, 2].map(|i| {
            let w = self.as_dtype(&inputs[i], self.dtype(node.inputs[i]), dtype);
            self.reshape(&w, &row)
        });
        let scaled = self.emit("Mul", &[&normed, &w], vec![]);
        self.emit("Add", &[&scaled, &b], vec![])
    }
}
