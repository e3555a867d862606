//! Element types: what lies in memory, and the types that kernels compute in.

use cann_sys::*;
use half::f16;
use half::slice::HalfFloatSliceExt;

/// A type that kernels compute in (f32 for arithmetic, i64 and f64 for conversions), which every element type converts
/// to and from.
pub(crate) trait Value:
    Via<f32>
    + Via<f16>
    + Via<Bf16>
    + Via<f64>
    + Via<i8>
    + Via<u8>
    + Via<i16>
    + Via<u16>
    + Via<i32>
    + Via<u32>
    + Via<i64>
    + Via<u64>
    + Via<Bool>
    + Default
    + Send
    + Sync
    + 'static
{
}

impl Value for f32 {}
impl Value for f64 {}
impl Value for i64 {}

/// Conversion of elements `T` in memory to and from `Self`. To fewer bits of a float it rounds to nearest, ties to
/// even; from a float to an integer towards zero, saturating, NaN to 0.
pub(crate) trait Via<T: Copy>: Copy {
    fn of(element: T) -> Self;
    fn to(self) -> T;

    fn widen(from: &[T], into: &mut [Self]) {
        for (into, from) in into.iter_mut().zip(from) {
            *into = Self::of(*from);
        }
    }

    fn narrow(from: &[Self], into: &mut [T]) {
        for (into, from) in into.iter_mut().zip(from) {
            *into = from.to();
        }
    }
}

macro_rules! numbers {
    ($v:ty: $($t:ty)*) => {$(
        impl Via<$t> for $v {
            fn of(element: $t) -> Self { element as Self }
            fn to(self) -> $t { self as $t }
        }
    )*};
}
numbers!(f32: f32 f64 i8 u8 i16 u16 i32 u32 i64 u64);
numbers!(f64: f32 f64 i8 u8 i16 u16 i32 u32 i64 u64);
numbers!(i64: f32 f64 i8 u8 i16 u16 i32 u32 i64 u64);

impl Via<f16> for f32 {
    fn of(element: f16) -> Self {
        element.to_f32()
    }

    fn to(self) -> f16 {
        f16::from_f32(self)
    }

    fn widen(from: &[f16], into: &mut [Self]) {
        from.convert_to_f32_slice(into);
    }

    fn narrow(from: &[Self], into: &mut [f16]) {
        into.convert_from_f32_slice(from);
    }
}

impl Via<f16> for f64 {
    fn of(element: f16) -> Self {
        element.to_f64()
    }

    fn to(self) -> f16 {
        f16::from_f64(self)
    }
}

impl Via<f16> for i64 {
    fn of(element: f16) -> Self {
        element.to_f32() as Self
    }

    fn to(self) -> f16 {
        f16::from_f64(self as f64)
    }
}

/// bf16 with conversions that compile to vector code.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Bf16(u16);

impl Via<Bf16> for f32 {
    fn of(element: Bf16) -> Self {
        Self::from_bits(u32::from(element.0) << 16)
    }

    fn to(self) -> Bf16 {
        let bits = self.to_bits();
        // Half a unit, less one where the kept part is even; a carry goes into the exponent as it should.
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
        let kept = if self.is_nan() {
            bits | 0x40_0000
        } else {
            rounded
        };
        Bf16((kept >> 16) as u16)
    }
}

impl Via<Bf16> for f64 {
    fn of(element: Bf16) -> Self {
        f32::of(element).into()
    }

    fn to(self) -> Bf16 {
        Bf16(half::bf16::from_f64(self).to_bits())
    }
}

impl Via<Bf16> for i64 {
    fn of(element: Bf16) -> Self {
        f32::of(element) as Self
    }

    fn to(self) -> Bf16 {
        (self as f64).to()
    }
}

/// A truth value of one byte.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Bool(u8);

impl<V: Copy + PartialEq + Default + From<u8>> Via<Bool> for V {
    fn of(element: Bool) -> Self {
        Self::from(u8::from(element.0 != 0))
    }

    fn to(self) -> Bool {
        Bool(u8::from(self != Self::default()))
    }
}

/// Runs an expression with `$T` bound to the element type of a dtype.
macro_rules! dispatch {
    ($dtype:expr, $T:ident => $run:expr) => {{
        use $crate::array::element::{Bf16, Bool};
        match $dtype {
            cann_sys::ACL_FLOAT => {
                type $T = f32;
                $run
            }
            cann_sys::ACL_FLOAT16 => {
                type $T = half::f16;
                $run
            }
            cann_sys::ACL_BF16 => {
                type $T = Bf16;
                $run
            }
            cann_sys::ACL_DOUBLE => {
                type $T = f64;
                $run
            }
            cann_sys::ACL_INT8 => {
                type $T = i8;
                $run
            }
            cann_sys::ACL_UINT8 => {
                type $T = u8;
                $run
            }
            cann_sys::ACL_INT16 => {
                type $T = i16;
                $run
            }
            cann_sys::ACL_UINT16 => {
                type $T = u16;
                $run
            }
            cann_sys::ACL_INT32 => {
                type $T = i32;
                $run
            }
            cann_sys::ACL_UINT32 => {
                type $T = u32;
                $run
            }
            cann_sys::ACL_INT64 => {
                type $T = i64;
                $run
            }
            cann_sys::ACL_UINT64 => {
                type $T = u64;
                $run
            }
            cann_sys::ACL_BOOL => {
                type $T = Bool;
                $run
            }
            other => unreachable!("phase 1 refuses type {other}"),
        }
    }};
}
pub(crate) use dispatch;

/// Bytes of an element, if the twin knows the type.
pub(crate) fn size(dtype: aclDataType) -> Option<usize> {
    match dtype {
        ACL_INT8 | ACL_UINT8 | ACL_BOOL => Some(1),
        ACL_FLOAT16 | ACL_BF16 | ACL_INT16 | ACL_UINT16 => Some(2),
        ACL_FLOAT | ACL_INT32 | ACL_UINT32 => Some(4),
        ACL_DOUBLE | ACL_INT64 | ACL_UINT64 => Some(8),
        _ => None,
    }
}

/// Whether a type holds whole numbers or truth values.
pub(crate) fn integer(dtype: aclDataType) -> bool {
    ![ACL_FLOAT, ACL_FLOAT16, ACL_BF16, ACL_DOUBLE].contains(&dtype)
}

/// A number as a type holds it.
pub(crate) fn round_to(dtype: aclDataType, value: f64) -> f64 {
    dispatch!(dtype, T => <f64 as Via<T>>::of(<f64 as Via<T>>::to(value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_rounds_as_the_half_crate_does() {
        let near = |bits: u32| {
            [
                bits,
                bits + 1,
                bits + 0x7fff,
                bits + 0x8000,
                bits + 0x8001,
                bits + 0xffff,
            ]
        };
        for bits in (0..=u32::from(u16::MAX)).flat_map(|top| near(top << 16)) {
            let value = f32::from_bits(bits);
            let ours: Bf16 = value.to();
            let theirs = half::bf16::from_f32(value);
            assert_eq!(ours.0, theirs.to_bits(), "{value:e}");
            let back = f32::of(ours);
            assert!(
                back.to_bits() == theirs.to_f32().to_bits() || back.is_nan() && theirs.is_nan()
            );
        }
    }

    #[test]
    fn whole_numbers_saturate_and_nan_is_zero() {
        assert_eq!(Via::<i8>::to(300.7f32), 127i8);
        assert_eq!(Via::<u8>::to(-3.0f32), 0u8);
        assert_eq!(Via::<i32>::to(f32::NAN), 0i32);
        assert_eq!(Via::<i32>::to(-2.9f64), -2i32);
        assert_eq!(
            round_to(ACL_FLOAT16, 0.182_15),
            f64::from(f16::from_f64(0.182_15))
        );
        assert_eq!(round_to(ACL_BOOL, 0.5), 1.0);
    }
}
