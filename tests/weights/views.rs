//! Views against the same rearrangements done element by element.

use ascendit::tensor::numel;
use ascendit::weights::{View, Weights};
use proptest::prelude::*;

use super::{from_bytes, safetensors_file};

/// `w`: i32 of this shape, counting up from 0.
fn counting(shape: &[usize]) -> Weights {
    let n = numel(shape);
    let header = format!(
        r#"{{"w":{{"dtype":"I32","shape":{shape:?},"data_offsets":[0,{}]}}}}"#,
        n * 4
    );
    let elements: Vec<u8> = (0..n as i32).flat_map(i32::to_le_bytes).collect();
    from_bytes(&safetensors_file(&header, &elements)).unwrap()
}

fn values(view: &View, weights: &Weights) -> Vec<i32> {
    let tensor = view.materialize(weights).unwrap();
    assert_eq!(tensor.shape(), view.shape());
    bytemuck::cast_slice(tensor.as_bytes()).to_vec()
}

#[test]
fn a_third_of_a_fused_projection_is_contiguous_in_the_file() {
    let weights = counting(&[6, 2]);
    let k = weights.view("w").unwrap().slice(0, 2, 2).unwrap();
    assert_eq!(values(&k, &weights), [4, 5, 6, 7]);
    assert!(k.is_contiguous());
    let entry = weights.get("w").unwrap();
    assert_eq!(k.byte_offset(), entry.offset + 16);
    assert_eq!(k.as_bytes(&weights).unwrap(), &weights.bytes(entry)[16..32]);
}

#[test]
fn a_transposed_weight_is_strides() {
    let weights = counting(&[2, 3]);
    let t = weights.view("w").unwrap().permute(&[1, 0]).unwrap();
    assert_eq!((t.shape(), t.strides()), (&[3, 2][..], &[1, 3][..]));
    assert_eq!(t.as_bytes(&weights), None);
    assert_eq!(values(&t, &weights), [0, 3, 1, 4, 2, 5]);
}

#[test]
fn rows_of_neighbouring_pairs_become_halves() {
    // Two heads of four rows: 0 1 2 3 | 4 5 6 7 becomes 0 2 1 3 | 4 6 5 7.
    let weights = counting(&[8, 1]);
    let pairs = weights
        .view("w")
        .unwrap()
        .split_axis(0, &[2, 2, 2])
        .unwrap();
    let halves = pairs
        .permute(&[0, 2, 1, 3])
        .unwrap()
        .reshape(&[8, 1])
        .unwrap();
    assert_eq!(
        (halves.shape(), halves.sizes()),
        (&[8, 1][..], &[2, 2, 2, 1][..])
    );
    assert_eq!(values(&halves, &weights), [0, 2, 1, 3, 4, 6, 5, 7]);
    assert_eq!(
        halves.slice(0, 0, 4).unwrap_err().to_string(),
        "weights: 1 tensor does not fit: w: cannot slice after axes were merged that do not lie \
         behind one another (i32[8, 1])"
    );
}

#[test]
fn a_reshape_that_strides_can_give_stays_a_pattern() {
    let weights = counting(&[4, 6]);
    let columns = weights.view("w").unwrap().slice(1, 1, 4).unwrap();
    let split = columns.reshape(&[2, 2, 1, 2, 2]).unwrap();
    assert_eq!(split.sizes(), split.shape());
    assert_eq!(split.strides(), [12, 6, 0, 2, 1]);
    let part = split.slice(3, 1, 1).unwrap();
    assert_eq!(values(&part, &weights), [3, 4, 9, 10, 15, 16, 21, 22]);
}

#[test]
fn views_that_do_not_fit_name_the_tensor() {
    let weights = counting(&[4, 6]);
    let view = || weights.view("w").unwrap();
    let cases = [
        (view().slice(0, 3, 2), "cannot take 2 from 3 on of axis 0"),
        (view().slice(2, 0, 1), "cannot take 1 from 0 on of axis 2"),
        (
            view().slice(0, usize::MAX, 2),
            "cannot take 2 from 18446744073709551615 on of axis 0",
        ),
        (view().permute(&[0, 0]), "cannot permute to axes [0, 0]"),
        (view().permute(&[0]), "cannot permute to axes [0]"),
        (
            view().split_axis(1, &[2, 2]),
            "cannot split axis 1 into [2, 2]",
        ),
        (
            view().split_axis(5, &[2, 2]),
            "cannot split axis 5 into [2, 2]",
        ),
        (view().reshape(&[5, 5]), "cannot reshape to [5, 5]"),
    ];
    for (result, expected) in cases {
        assert_eq!(
            result.unwrap_err().to_string(),
            format!("weights: 1 tensor does not fit: w: {expected} (i32[4, 6])")
        );
    }
}

#[test]
fn a_view_of_other_weights_is_refused() {
    let view = counting(&[100]).view("w").unwrap();
    assert_eq!(
        view.materialize(&counting(&[2])).unwrap_err().to_string(),
        "weights: 1 tensor does not fit: w: is a view of other weights (i32[100])"
    );
}

#[test]
fn views_without_elements_are_empty() {
    let weights = counting(&[3, 0]);
    let view = weights.view("w").unwrap().permute(&[1, 0]).unwrap();
    assert_eq!(values(&view, &weights), [0; 0]);
    assert_eq!(view.as_bytes(&weights), Some(&[][..]));
    let weights = counting(&[3, 2]);
    let end = weights.view("w").unwrap().slice(0, 3, 0).unwrap();
    assert_eq!(values(&end, &weights), [0; 0]);
}

/// A tensor as index and values, rearranged the slow way.
struct Slow {
    shape: Vec<usize>,
    values: Vec<i32>,
}

impl Slow {
    fn at(&self, index: &[usize]) -> i32 {
        let place = index.iter().zip(&self.shape).fold(0, |n, (i, d)| n * d + i);
        self.values[place]
    }

    fn build(shape: Vec<usize>, f: impl Fn(&[usize]) -> i32) -> Self {
        let values = (0..numel(&shape))
            .map(|mut n| {
                let mut index = vec![0; shape.len()];
                for axis in (0..shape.len()).rev() {
                    index[axis] = n % shape[axis];
                    n /= shape[axis];
                }
                f(&index)
            })
            .collect();
        Self { shape, values }
    }
}

proptest! {
    #[test]
    fn slices_permutations_and_reshapes_follow_the_elements(
        shape in prop::collection::vec(1usize..5, 1..5),
        steps in prop::collection::vec((0usize..4, any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..6),
    ) {
        let weights = counting(&shape);
        let mut view = weights.view("w").unwrap();
        let mut slow = Slow { values: (0..numel(&shape) as i32).collect(), shape };
        for (step, a, b) in steps {
            let rank = slow.shape.len();
            match step {
                0 => {
                    let axis = a.index(rank);
                    let start = b.index(slow.shape[axis]);
                    let len = a.index(slow.shape[axis] - start) + 1;
                    view = view.slice(axis, start, len).unwrap();
                    let mut shape = slow.shape.clone();
                    shape[axis] = len;
                    slow = Slow::build(shape, |index| {
                        let mut index = index.to_vec();
                        index[axis] += start;
                        slow.at(&index)
                    });
                }
                1 => {
                    let mut axes: Vec<usize> = (0..rank).collect();
                    axes.swap(a.index(rank), b.index(rank));
                    view = view.permute(&axes).unwrap();
                    let shape = axes.iter().map(|&axis| slow.shape[axis]).collect();
                    slow = Slow::build(shape, |index| {
                        let mut source = vec![0; rank];
                        for (i, &axis) in axes.iter().enumerate() {
                            source[axis] = index[i];
                        }
                        slow.at(&source)
                    });
                }
                2 => {
                    let axis = a.index(rank);
                    let size = slow.shape[axis];
                    let divisors: Vec<usize> = (1..=size).filter(|d| size.is_multiple_of(*d)).collect();
                    let outer = divisors[b.index(divisors.len())];
                    view = view.split_axis(axis, &[outer, size / outer]).unwrap();
                    slow.shape.splice(axis..=axis, [outer, size / outer]);
                }
                _ => {
                    slow.shape = vec![slow.values.len()];
                    view = view.reshape(&slow.shape).unwrap();
                }
            }
            prop_assert_eq!(view.shape(), &slow.shape[..]);
            prop_assert_eq!(values(&view, &weights), slow.values.clone());
            if view.is_contiguous() {
                let bytes = view.as_bytes(&weights).unwrap();
                prop_assert_eq!(bytes, bytemuck::cast_slice::<i32, u8>(&slow.values));
            }
            if view.sizes() != view.shape() {
                break;
            }
        }
    }
}
