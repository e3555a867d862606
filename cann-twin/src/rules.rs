//! What CANN 8.1 refuses on a 910B, as far as it is the same for many operators: types, ranks, shapes, formats. What
//! holds for one operator stands with that operator in `ops`.
//!
//! Facts come from the aclnn reference and from CANN's operator table for ascend910b. A refusal says which parameter,
//! what was given and what is allowed; `nnop::prepare` puts the function's name in front.

use crate::array::element;
use crate::nnop::{Checked, INVALID, NULL, Refusal, Tensor};
use cann_sys::*;
use std::ops::RangeInclusive;

/// Axes of a tensor, at most; of an operand of a matrix product, 6.
pub(crate) const MAX_RANK: usize = 8;

/// The types of 16 bits.
pub(crate) const HALVES: &[aclDataType] = &[ACL_FLOAT16, ACL_BF16];

/// The types that the vector and cube units compute in.
pub(crate) const FLOATS: &[aclDataType] = &[ACL_FLOAT, ACL_FLOAT16, ACL_BF16];

/// All types that can be moved and converted.
pub(crate) const ALL: &[aclDataType] = &[
    ACL_FLOAT,
    ACL_FLOAT16,
    ACL_BF16,
    ACL_DOUBLE,
    ACL_INT8,
    ACL_UINT8,
    ACL_INT16,
    ACL_UINT16,
    ACL_INT32,
    ACL_UINT32,
    ACL_INT64,
    ACL_UINT64,
    ACL_BOOL,
];

/// A refusal of what was given.
pub(crate) fn refuse<T>(text: String) -> Checked<T> {
    Err(Refusal {
        code: INVALID,
        text,
    })
}

/// Refuses unless `holds`.
pub(crate) fn require(holds: bool, text: impl FnOnce() -> String) -> Checked<()> {
    if holds { Ok(()) } else { refuse(text()) }
}

/// Refuses a null pointer that CANN needs.
pub(crate) fn not_null<T>(what: &str, pointer: *const T) -> Checked<()> {
    if pointer.is_null() {
        return Err(Refusal {
            code: NULL,
            text: format!("{what} is a null pointer"),
        });
    }
    Ok(())
}

/// A type's short name.
pub(crate) fn type_name(dtype: aclDataType) -> &'static str {
    match dtype {
        ACL_FLOAT => "f32",
        ACL_FLOAT16 => "f16",
        ACL_BF16 => "bf16",
        ACL_DOUBLE => "f64",
        ACL_INT8 => "i8",
        ACL_UINT8 => "u8",
        ACL_INT16 => "i16",
        ACL_UINT16 => "u16",
        ACL_INT32 => "i32",
        ACL_UINT32 => "u32",
        ACL_INT64 => "i64",
        ACL_UINT64 => "u64",
        ACL_BOOL => "bool",
        _ => "an unknown type",
    }
}

/// A format's name as CANN spells it.
pub(crate) fn format_name(format: aclFormat) -> &'static str {
    match format {
        ACL_FORMAT_NCHW => "NCHW",
        ACL_FORMAT_NHWC => "NHWC",
        ACL_FORMAT_ND => "ND",
        ACL_FORMAT_NC1HWC0 => "NC1HWC0",
        ACL_FORMAT_NDHWC => "NDHWC",
        ACL_FORMAT_FRACTAL_NZ => "FRACTAL_NZ",
        ACL_FORMAT_NCDHW => "NCDHW",
        ACL_FORMAT_NDC1HWC0 => "NDC1HWC0",
        ACL_FORMAT_NCL => "NCL",
        _ => "an unknown format",
    }
}

/// "a, b or c".
pub(crate) fn one_of<S: AsRef<str>>(names: &[S]) -> String {
    let names: Vec<_> = names.iter().map(AsRef::as_ref).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => "nothing".to_owned(),
    }
}

/// Type and shape, as in `f16[2, 3]`.
pub(crate) fn describe(t: &Tensor) -> String {
    format!("{}{:?}", type_name(t.dtype), t.shape)
}

/// What holds for every tensor: a type out of a list, at most 8 axes, a plain format, elements at addresses that their
/// type allows.
pub(crate) fn operand(what: &str, t: &Tensor, types: &[aclDataType]) -> Checked<()> {
    require(types.contains(&t.dtype), || {
        let names: Vec<_> = types.iter().map(|&d| type_name(d)).collect();
        format!("{what} is {}, must be {}", describe(t), one_of(&names))
    })?;
    rank(what, t, 0..=MAX_RANK)?;
    let private = [
        ACL_FORMAT_NC1HWC0,
        ACL_FORMAT_FRACTAL_NZ,
        ACL_FORMAT_NDC1HWC0,
    ];
    require(!private.contains(&t.format), || {
        format!(
            "{what} has the private format {}, must have a plain one",
            format_name(t.format)
        )
    })?;
    let size = element::size(t.dtype).unwrap_or(1);
    let bytes = t
        .shape
        .iter()
        .try_fold(size, |n, &axis| n.checked_mul(axis));
    require(bytes.is_some_and(|n| n <= isize::MAX as usize), || {
        format!("{what} is {}, must fit into memory", describe(t))
    })?;
    let storage = t.storage.iter().map(|&n| n as i128).product::<i128>();
    require(inside(t, storage), || {
        format!(
            "{what} is {} with strides {:?} and offset {}, must stay inside of its storage of {storage} elements",
            describe(t),
            t.strides,
            t.offset
        )
    })?;
    require(t.data.is_multiple_of(size), || {
        format!(
            "{what} is at address {:#x}, must be at a multiple of {size} bytes",
            t.data
        )
    })
}

/// Whether all elements are among the first `storage` ones from the address on.
fn inside(t: &Tensor, storage: i128) -> bool {
    if t.shape.contains(&0) {
        return true;
    }
    let (mut first, mut last) = (i128::from(t.offset), i128::from(t.offset));
    for (&n, &stride) in t.shape.iter().zip(&t.strides) {
        let reach = (n as i128 - 1) * i128::from(stride);
        first += reach.min(0);
        last += reach.max(0);
    }
    first >= 0 && last < storage
}

/// Refuses a tensor whose type differs from another's.
pub(crate) fn same_type(what: &str, t: &Tensor, as_what: &str, other: &Tensor) -> Checked<()> {
    require(t.dtype == other.dtype, || {
        format!(
            "{what} is {}, must have the type of {as_what}, {}",
            describe(t),
            type_name(other.dtype)
        )
    })
}

/// Refuses a tensor with fewer or more axes than allowed.
pub(crate) fn rank(what: &str, t: &Tensor, allowed: RangeInclusive<usize>) -> Checked<()> {
    require(allowed.contains(&t.shape.len()), || {
        let (low, high) = (allowed.start(), allowed.end());
        let count = if low == high {
            format!("{low}")
        } else {
            format!("{low} to {high}")
        };
        format!("{what} is {}, must have {count} axes", describe(t))
    })
}

/// Refuses a tensor of another shape.
pub(crate) fn shape(what: &str, t: &Tensor, expected: &[usize]) -> Checked<()> {
    require(t.shape == expected, || {
        format!("{what} is {}, must have shape {expected:?}", describe(t))
    })
}

/// Refuses a tensor of another format.
pub(crate) fn format(what: &str, t: &Tensor, allowed: &[aclFormat]) -> Checked<()> {
    require(allowed.contains(&t.format), || {
        let names: Vec<_> = allowed.iter().map(|&f| format_name(f)).collect();
        format!(
            "{what} has format {}, must have {}",
            format_name(t.format),
            one_of(&names)
        )
    })
}

/// The shape that several broadcast to.
pub(crate) fn broadcast(operands: &[(&str, &Tensor)]) -> Checked<Vec<usize>> {
    let shapes: Vec<_> = operands.iter().map(|(_, t)| t.shape.as_slice()).collect();
    broadcast_shapes(&shapes).map_or_else(
        || {
            let named: Vec<_> = operands
                .iter()
                .map(|(what, t)| format!("{what} {:?}", t.shape))
                .collect();
            refuse(format!("{} do not broadcast", named.join(" and ")))
        },
        Ok,
    )
}

/// NumPy's rule: axes are matched from the last; equal, or one of them 1.
pub(crate) fn broadcast_shapes(shapes: &[&[usize]]) -> Option<Vec<usize>> {
    let rank = shapes.iter().map(|s| s.len()).max()?;
    let mut result = vec![1; rank];
    for shape in shapes {
        for (r, &n) in result.iter_mut().rev().zip(shape.iter().rev()) {
            match (*r, n) {
                (_, 1) => (),
                (1, n) => *r = n,
                (r, n) if r == n => (),
                _ => return None,
            }
        }
    }
    Some(result)
}

/// The type that operands of two floating types are computed in: the wider one; f16 with bf16 is f32.
pub(crate) fn promote(a: aclDataType, b: aclDataType) -> aclDataType {
    if a == b { a } else { ACL_FLOAT }
}

/// An axis counted from the end if negative.
pub(crate) fn axis(what: &str, given: i64, rank: usize) -> Checked<usize> {
    let n = rank.max(1) as i64;
    let axis = if given < 0 { given + n } else { given };
    require((0..n).contains(&axis), || {
        format!("{what} is {given}, must be from {} to {}", -n, n - 1)
    })?;
    Ok(axis as usize)
}

/// Several axes, none twice.
pub(crate) fn axes(what: &str, given: &[i64], rank: usize) -> Checked<Vec<usize>> {
    let mut found = vec![];
    for &g in given {
        let a = axis(what, g, rank)?;
        require(!found.contains(&a), || {
            format!("{what} is {given:?}, must name an axis once")
        })?;
        found.push(a);
    }
    Ok(found)
}

/// Whether elements lie in row-major order without gaps.
pub(crate) fn is_contiguous(t: &Tensor) -> bool {
    let mut expected = 1;
    for (&n, &stride) in t.shape.iter().zip(&t.strides).rev() {
        if n != 1 && stride != expected {
            return t.shape.contains(&0);
        }
        expected *= n as i64;
    }
    true
}

/// Bytes of the elements.
pub(crate) fn bytes(t: &Tensor) -> u64 {
    (t.shape.iter().product::<usize>() * element::size(t.dtype).unwrap_or(0)) as u64
}
