//! Weights in the orders that our own kernels read.

use ascendit_kernels::causal_conv3d;

use crate::tensor::{DType, HostTensor};

/// How a weight lies on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Packing {
    /// Row-major, in the graph's type.
    Stored,
    /// Weights `[O, C, kt, kh, kw]` of a convolution.
    Convolution([u64; 5]),
    /// The summands per channel of a convolution.
    ConvolutionBias,
}

impl Packing {
    /// Packs a weight of which the graph has the 16-bit type `dtype`.
    pub(super) fn pack(self, weight: &HostTensor, dtype: DType) -> Vec<u8> {
        let narrow = |x: &HostTensor| -> Vec<u16> {
            let bytes = x.cast(dtype);
            let pairs = bytes.as_bytes().chunks_exact(2);
            pairs
                .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
                .collect()
        };
        match self {
            Self::Stored => weight.cast(dtype).as_bytes().to_vec(),
            Self::Convolution(shape) => {
                let one = narrow(&HostTensor::f32([1], vec![1.0]))[0];
                let packed = causal_conv3d::pack(&narrow(weight), shape, one);
                packed.into_iter().flat_map(u16::to_le_bytes).collect()
            }
            Self::ConvolutionBias => {
                let wide = weight.cast(dtype).cast(DType::F32);
                let packed = causal_conv3d::pack_bias(wide.as_f32());
                packed.into_iter().flat_map(f32::to_le_bytes).collect()
            }
        }
    }
}
