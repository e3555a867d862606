//! Causal convolutions over `[B, C, T, H, W]`.
//!
//! On the CPU, two-dimensional convolutions run faster than three-dimensional ones (they have a
//! blocked layout), and along time a kernel of three taps needs four products for two frames instead
//! of six: the minimal filtering algorithm F(2, 3) of Winograd, as in Lavin and Gray 2015 (arXiv
//! 1509.09308, section 4.1), here over frames. With frames `d0 .. d3` and taps `g0 .. g2`,
//!
//! ```text
//! m0 = (d0 - d2) * g0                 y0 = m0 + m1 + m2
//! m1 = (d1 + d2) * (g0 + g1 + g2)/2   y1 = m1 - m2 - m3
//! m2 = (d2 - d1) * (g0 - g1 + g2)/2
//! m3 = (d1 - d3) * g2
//! ```
//!
//! where `*` is a convolution over `[H, W]`. All of its sums are of whole frames, so they cost little.

use super::Lowering;
use super::spatial::ConvForm;
use crate::tensor::DType;

/// A causal convolution.
pub(super) struct Causal {
    /// `[B, C, T, H, W]`
    pub(super) x: Vec<usize>,
    /// `[O, C, kt, kh, kw]`
    pub(super) w: Vec<usize>,
    /// `[B, O, T', H', W']`
    pub(super) y: Vec<usize>,
    pub(super) stride: [usize; 3],
    pub(super) padding: [(usize, usize); 2],
}

/// How a causal convolution is computed.
enum Form {
    /// As one convolution over `[T, H, W]`.
    Whole,
    /// As one over `[H, W]` with the sum of the taps: every frame it sees is the same.
    SummedTaps,
    /// As the sum of one over `[H, W]` per tap.
    Taps,
    /// By F(2, 3).
    Winograd,
}

impl Causal {
    fn form(&self, on_cpu: bool, cached: bool) -> Form {
        let spatial = self.w[3] * self.w[4] > 1;
        if !on_cpu || self.w[2] != 3 || self.stride[0] != 1 || !spatial {
            return Form::Whole;
        }
        match (self.x[2], cached) {
            (1, false) => Form::SummedTaps,
            (1, true) => Form::Taps,
            _ => Form::Winograd,
        }
    }

    fn over_frames(&self) -> ConvForm<'_> {
        ConvForm {
            stride: &self.stride[1..],
            padding: &self.padding,
            groups: 1,
        }
    }

    /// `[frames · B, C, H, W]`
    fn images(&self, frames: usize) -> [usize; 4] {
        [frames * self.x[0], self.x[1], self.x[3], self.x[4]]
    }
}

impl Lowering<'_> {
    pub(super) fn causal_conv3d(
        &mut self,
        conv: &Causal,
        x: &str,
        w: &str,
        bias: Option<&str>,
        cache: Option<&str>,
    ) -> String {
        let form = conv.form(self.on_cpu(), cache.is_some());
        if let Form::Whole = form {
            return self.whole(conv, x, w, bias, cache);
        }
        let taps = [0, 1, 2].map(|k| self.tap(conv, w, k));
        let x = self.frames_first(x, &conv.x);
        let y = match form {
            Form::SummedTaps => {
                let sum = self.emit("Add", &[&taps[0], &taps[1]], vec![]);
                let sum = self.emit("Add", &[&sum, &taps[2]], vec![]);
                let images = self.reshape(&x, &conv.images(1));
                self.conv(&images, &sum, bias, &conv.over_frames())
            }
            Form::Taps => {
                let frames = self.with_front(conv, &x, cache, 0);
                self.sum_of_taps(conv, &frames, &taps, bias)
            }
            _ => self.winograd(conv, &x, &taps, bias, cache),
        };
        let [b, o, t, h, w] = [0, 1, 2, 3, 4].map(|i| conv.y[i]);
        let y = self.reshape(&y, &[t, b, o, h * w]);
        let y = self.transpose(&y, &[1, 2, 0, 3]);
        self.reshape(&y, &conv.y)
    }

    fn whole(
        &mut self,
        conv: &Causal,
        x: &str,
        w: &str,
        bias: Option<&str>,
        cache: Option<&str>,
    ) -> String {
        let front = conv.w[2] - 1;
        let x = match (front, cache) {
            (0, _) => x.to_owned(),
            (_, Some(cache)) => self.concat(&[cache, x], 2),
            (_, None) => {
                let first = self.slice(x, 2, 0, 1);
                let mut parts = vec![first.as_str(); front];
                parts.push(x);
                self.concat(&parts, 2)
            }
        };
        let form = ConvForm {
            stride: &conv.stride,
            padding: &[(0, 0), conv.padding[0], conv.padding[1]],
            groups: 1,
        };
        self.conv(&x, w, bias, &form)
    }

    /// The part of a kernel for one frame: `[O, C, kh, kw]`.
    fn tap(&mut self, conv: &Causal, w: &str, k: usize) -> String {
        let tap = self.slice(w, 2, k, 1);
        let [o, c, _, kh, kw] = [0, 1, 2, 3, 4].map(|i| conv.w[i]);
        self.reshape(&tap, &[o, c, kh, kw])
    }

    /// `[B, C, T, H, W]` → `[T, B, C, H · W]`
    fn frames_first(&mut self, x: &str, shape: &[usize]) -> String {
        let flat = [shape[0], shape[1], shape[2], shape[3] * shape[4]];
        let x = self.reshape(x, &flat);
        self.transpose(&x, &[2, 0, 1, 3])
    }

    /// Two frames in front of `x`, and `behind` repetitions of the last one behind it.
    fn with_front(&mut self, conv: &Causal, x: &str, cache: Option<&str>, behind: usize) -> String {
        let mut parts = match cache {
            Some(cache) => {
                let [b, c, _, h, w] = [0, 1, 2, 3, 4].map(|i| conv.x[i]);
                vec![self.frames_first(cache, &[b, c, 2, h, w])]
            }
            None => vec![self.slice(x, 0, 0, 1); 2],
        };
        parts.push(x.to_owned());
        for _ in 0..behind {
            parts.push(self.slice(x, 0, conv.x[2] - 1, 1));
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.concat(&parts, 0)
    }

    /// `frames [T + 2, ..]` → `[T · B, O, H', W']`
    fn sum_of_taps(
        &mut self,
        conv: &Causal,
        frames: &str,
        taps: &[String; 3],
        bias: Option<&str>,
    ) -> String {
        let t = conv.x[2];
        let mut products = vec![];
        for (k, tap) in taps.iter().enumerate() {
            let seen = self.slice(frames, 0, k, t);
            let images = self.reshape(&seen, &conv.images(t));
            products.push(self.conv(&images, tap, bias.filter(|_| k == 0), &conv.over_frames()));
        }
        let sum = self.emit("Add", &[&products[0], &products[1]], vec![]);
        self.emit("Add", &[&sum, &products[2]], vec![])
    }

    /// `x [T, ..]` → `[T, ..]` by the algorithm above; an odd number of frames is filled up.
    fn winograd(
        &mut self,
        conv: &Causal,
        x: &str,
        taps: &[String; 3],
        bias: Option<&str>,
        cache: Option<&str>,
    ) -> String {
        let t = conv.x[2];
        let pairs = t.div_ceil(2);
        let frames = self.with_front(conv, x, cache, 2 * pairs - t);
        let frame: usize = conv.images(1).iter().product();
        let frames = self.reshape(&frames, &[pairs + 1, 2, frame]);
        let [d0, d1, d2, d3] = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(first, parity)| {
            let every_other = self.slice(&frames, 1, parity, 1);
            let chosen = self.slice(&every_other, 0, first, pairs);
            self.reshape(&chosen, &conv.images(pairs))
        });
        // m3 is taken with the other sign, so that what is left to do with products is to add.
        let images = [
            ("Sub", &d0, &d2),
            ("Add", &d1, &d2),
            ("Sub", &d2, &d1),
            ("Sub", &d3, &d1),
        ]
        .map(|(op, a, b)| self.emit(op, &[a, b], vec![]));
        let half = self.scalar(DType::F32, 0.5);
        let outer = self.emit("Add", &[&taps[0], &taps[2]], vec![]);
        let [g1, g2] = ["Add", "Sub"].map(|op| {
            let sum = self.emit(op, &[&outer, &taps[1]], vec![]);
            self.emit("Mul", &[&sum, &half], vec![])
        });
        let kernels = [&taps[0], &g1, &g2, &taps[2]];
        // m1 is a part of both frames, so the bias is as well.
        let [m0, m1, m2, m3] = [0, 1, 2, 3].map(|i| {
            let bias = bias.filter(|_| i == 1);
            self.conv(&images[i], kernels[i], bias, &conv.over_frames())
        });
        let sum = self.emit("Add", &[&m1, &m2], vec![]);
        let even = self.emit("Add", &[&sum, &m0], vec![]);
        let difference = self.emit("Sub", &[&m1, &m2], vec![]);
        let odd = self.emit("Add", &[&difference, &m3], vec![]);
        let frame = conv.y[0] * conv.y[1] * conv.y[3] * conv.y[4];
        let [even, odd] = [even, odd].map(|frames| self.reshape(&frames, &[pairs, 1, frame]));
        let y = self.concat(&[&even, &odd], 1);
        let y = self.reshape(&y, &[2 * pairs, frame]);
        self.slice(&y, 0, 0, t)
    }
}
