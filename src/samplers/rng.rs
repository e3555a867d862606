//! Normal noise equal to that of PyTorch's CPU generator, so that a seed means the same latents
//! as in the Python pipelines with `torch.Generator("cpu").manual_seed(seed)`.
//!
//! The source is the Mersenne Twister MT19937 (Matsumoto and Nishimura, 1998); the way from its
//! words to normals is that of PyTorch's `aten/src/ATen/native/cpu/DistributionTemplates.h` and
//! `aten/src/ATen/core/DistributionsHelper.h`. Only `f32` normals are made here, no other
//! distributions and no other element types (PyTorch's `randn` in half precision is another
//! sequence).

use std::f32::consts::TAU as TAU_F32;
use std::f64::consts::TAU;

/// Words of state of the twister.
const N: usize = 624;
/// Distance between the words that the recurrence combines.
const M: usize = 397;
/// PyTorch fills tensors of at least this many elements in groups of this size.
const GROUP: usize = 16;

/// A generator of `torch.randn` values.
#[derive(Clone, Debug)]
pub struct Generator {
    state: [u32; N],
    next: usize,
    /// The second normal of the last pair that the path for small tensors made.
    cached: Option<f64>,
}

impl Generator {
    /// The generator after `manual_seed(seed)`; only the low 32 bits of a seed count, as in
    /// PyTorch.
    pub fn new(seed: u64) -> Self {
        let mut state = [0; N];
        state[0] = seed as u32;
        for i in 1..N {
            let last = state[i - 1];
            state[i] = (last ^ (last >> 30))
                .wrapping_mul(1_812_433_253)
                .wrapping_add(i as u32);
        }
        Self {
            state,
            next: N,
            cached: None,
        }
    }

    /// The next `torch.randn` of a whole `f32` tensor of `n` elements, in row-major order. One
    /// call stands for one tensor: two calls of 16 differ from one call of 32 where the sizes
    /// are not multiples of 16.
    pub fn randn(&mut self, n: usize) -> Vec<f32> {
        if n < GROUP {
            return (0..n).map(|_| self.normal() as f32).collect();
        }
        let mut values: Vec<f32> = (0..n).map(|_| self.uniform()).collect();
        values.chunks_exact_mut(GROUP).for_each(box_muller);
        if !n.is_multiple_of(GROUP) {
            let tail = &mut values[n - GROUP..];
            tail.fill_with(|| self.uniform());
            box_muller(tail);
        }
        values
    }

    /// A standard normal in double precision, as PyTorch draws them for small tensors.
    fn normal(&mut self) -> f64 {
        if let Some(second) = self.cached.take() {
            return second;
        }
        let angle = TAU * self.uniform_f64();
        let radius = (-2.0 * (-self.uniform_f64()).ln_1p()).sqrt();
        self.cached = Some(radius * angle.sin());
        radius * angle.cos()
    }

    /// Uniform in `[0, 1)` from the low 24 bits of a word.
    fn uniform(&mut self) -> f32 {
        (self.word() & 0x00ff_ffff) as f32 / (1 << 24) as f32
    }

    /// Uniform in `[0, 1)` from the low 53 bits of two words, the high word first.
    fn uniform_f64(&mut self) -> f64 {
        let high = u64::from(self.word());
        let bits = (high << 32) | u64::from(self.word());
        (bits & ((1 << 53) - 1)) as f64 / (1u64 << 53) as f64
    }

    /// The next word of the twister.
    fn word(&mut self) -> u32 {
        if self.next == N {
            self.twist();
        }
        let mut y = self.state[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn twist(&mut self) {
        for i in 0..N {
            let y = (self.state[i] & 0x8000_0000) | (self.state[(i + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.state[i] = self.state[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
}

/// Turns 16 uniforms into 16 normals: element `j` and `j + 8` are one Box-Muller pair.
fn box_muller(group: &mut [f32]) {
    let (radii, angles) = group.split_at_mut(GROUP / 2);
    for (a, b) in radii.iter_mut().zip(angles) {
        let radius = (-2.0 * (1.0 - *a).ln()).sqrt();
        let (sin, cos) = (TAU_F32 * *b).sin_cos();
        *a = radius * cos;
        *b = radius * sin;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twister_gives_the_published_first_words() {
        let mut generator = Generator::new(5489);
        assert_eq!(generator.word(), 3_499_211_612);
        assert_eq!(generator.word(), 581_869_302);
        let tenth_thousandth = (2..10_000).map(|_| generator.word()).last();
        assert_eq!(tenth_thousandth, Some(4_123_659_995));
    }

    #[test]
    fn only_the_low_32_bits_of_a_seed_count() {
        let low = Generator::new(5).randn(20);
        assert_eq!(Generator::new((7 << 32) + 5).randn(20), low);
        assert_ne!(Generator::new(6).randn(20), low);
    }

    #[test]
    fn a_small_tensor_leaves_its_spare_normal_to_the_next_one() {
        let mut pieces = Generator::new(3);
        let mut joined = pieces.randn(3);
        joined.extend(pieces.randn(5));
        assert_eq!(joined, Generator::new(3).randn(8));
    }

    #[test]
    fn every_length_is_kept_and_finite() {
        let mut generator = Generator::new(0);
        for n in 0..100 {
            let values = generator.randn(n);
            assert_eq!(values.len(), n);
            assert!(values.iter().all(|x| x.is_finite()));
        }
    }
}
