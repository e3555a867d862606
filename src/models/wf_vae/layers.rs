//! Layers over the config's norm, and over the state of a decoder that works in chunks.

use super::super::Chunk;
use super::Config;
use crate::graph::{Params, Value};
use crate::nn;

/// Groups of `groupnorm`.
pub(super) const GROUPS: usize = 32;

/// The state of a decoder that works in chunks: values go in from the chunk before and come out for
/// the next one in the order in which the layers ask for them.
pub(super) struct Stream<'g> {
    pub(super) chunk: Chunk,
    pub(super) kept: Vec<Value<'g>>,
    pub(super) asked: usize,
}

/// Layers over the config's norm, and over the stream's state where there is one.
pub(super) struct Net<'a, 'g> {
    pub(super) config: &'a Config,
    pub(super) state: Option<&'a std::cell::RefCell<Stream<'g>>>,
}

impl<'g> Net<'_, 'g> {
    /// Whether the video begins and whether it ends with what is worked on.
    pub(super) fn place(&self) -> (bool, bool) {
        self.state.map_or((true, true), |state| {
            (state.borrow().chunk.first, state.borrow().chunk.last)
        })
    }

    /// What the chunk before kept here, of the shape of `like` with `frames` frames.
    pub(super) fn before(&self, like: Value<'g>, frames: usize) -> Option<Value<'g>> {
        let state = self.state.filter(|_| !self.place().0)?;
        let mut shape = like.shape();
        shape[2] = frames;
        let name = format!("state.{}", state.borrow().asked);
        state.borrow_mut().asked += 1;
        Some(like.builder().input(&name, like.dtype(), shape))
    }

    /// Keeps a value for the next chunk.
    pub(super) fn keep(&self, value: Value<'g>) {
        if let (Some(state), (_, false)) = (self.state, self.place()) {
            state.borrow_mut().kept.push(value);
        }
    }

    /// `CausalConv3d` with a cubic kernel.
    pub(super) fn causal_conv(
        &self,
        p: &Params<'g>,
        x: Value<'g>,
        out: usize,
        kernel: usize,
        stride: [usize; 3],
        padding: [(usize, usize); 2],
    ) -> Value<'g> {
        let p = p.at("conv");
        let weight = p.weight("weight", &[out, x.dim(1), kernel, kernel, kernel]);
        let bias = Some(p.weight("bias", &[out]));
        let front = kernel - 1;
        let cache = if front == 0 {
            None
        } else {
            self.before(x, front)
        };
        if front > 0 {
            let t = x.dim(2);
            let tail = match cache {
                _ if t >= front => x.slice(2, t - front, front),
                Some(cache) => x.builder().concat(&[cache.slice(2, t, front - t), x], 2),
                None => x
                    .builder()
                    .concat(&[vec![x.slice(2, 0, 1); front - t], vec![x]].concat(), 2),
            };
            self.keep(tail);
        }
        x.causal_conv3d(weight, bias, cache, stride, padding)
    }

    pub(super) fn norm(&self, p: &Params<'g>, x: Value<'g>) -> Value<'g> {
        let c = x.dim(1);
        match self.config.norm_type.as_str() {
            "layernorm" => {
                let p = p.at("norm");
                x.layer_norm(
                    1,
                    1e-6,
                    Some((p.weight("weight", &[c]), p.weight("bias", &[c]))),
                )
            }
            _ => x.group_norm(
                GROUPS,
                1e-6,
                p.weight("weight", &[c]),
                p.weight("bias", &[c]),
            ),
        }
    }

    /// `ResnetBlock3D`: two rounds of norm, SiLU and causal convolution beside a shortcut.
    pub(super) fn resblock(&self, p: &Params<'g>, x: Value<'g>, out: usize) -> Value<'g> {
        let conv = |name: &str, h: Value<'g>| {
            self.causal_conv(&p.at(name), h, out, 3, [1; 3], [(1, 1); 2])
        };
        let h = conv("conv1", self.norm(&p.at("norm1"), x).silu());
        let h = conv("conv2", self.norm(&p.at("norm2"), h).silu());
        match x.dim(1) == out {
            true => x + h,
            false => self.causal_conv(&p.at("nin_shortcut"), x, out, 1, [1; 3], [(0, 0); 2]) + h,
        }
    }

    /// `ResnetBlock2D` per frame, with as many channels out as in.
    pub(super) fn resblock_2d(&self, p: &Params<'g>, x: Value<'g>) -> Value<'g> {
        let c = x.dim(1);
        per_frame(x, |x| {
            let round = |n: usize, h: Value<'g>| {
                let h = self.norm(&p.at(format!("norm{n}")), h).silu();
                conv(
                    &p.at(format!("conv{n}")),
                    h,
                    c,
                    [3, 3],
                    [1, 1],
                    [(1, 1), (1, 1)],
                )
            };
            x + round(2, round(1, x))
        })
    }

    /// Residual block, attention within each frame, residual block.
    pub(super) fn mid(&self, p: &Params<'g>, x: Value<'g>, inner: usize, out: usize) -> Value<'g> {
        let h = self.resblock(&p.at(0), x, inner);
        match self.config.use_attention {
            true => self.resblock(&p.at(2), self.attention(&p.at(1), h), out),
            false => self.resblock(&p.at(1), h, out),
        }
    }

    /// `AttnBlock3DFix`: one head over all pixels of a frame.
    pub(super) fn attention(&self, p: &Params<'g>, x: Value<'g>) -> Value<'g> {
        let (b, c, t, h, w) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3), x.dim(4));
        let tokens = self
            .norm(&p.at("norm"), x)
            .permute([0, 2, 3, 4, 1])
            .reshape([b * t, h * w, c]);
        let pointwise = |name: &str, v: Value<'g>| {
            let p = p.at(name).at("conv");
            v.linear(
                p.weight("weight", &[c, c, 1, 1, 1]).reshape([c, c]),
                Some(p.weight("bias", &[c])),
            )
        };
        let head = |name: &str| nn::split_heads(pointwise(name, tokens), 1);
        let mixed = pointwise(
            "proj_out",
            nn::attend(head("q"), head("k"), head("v"), None),
        );
        x + mixed.reshape([b, t, h, w, c]).permute([0, 4, 1, 2, 3])
    }

    /// A wavelet branch: residual blocks, then coefficients.
    pub(super) fn connect(&self, p: &Params<'g>, x: Value<'g>, coefficients: usize) -> Value<'g> {
        let n = self.config.connect_res_layer_num;
        let h = (0..n).fold(x, |h, i| self.resblock(&p.at(i), h, x.dim(1)));
        conv2d(&p.at(n), h, coefficients)
    }

    /// The frames that wait from the chunk before and all of these but the last, which waits for the
    /// next chunk unless there is none.
    pub(super) fn hold_back_one_frame(&self, x: Value<'g>) -> Value<'g> {
        let waiting = self.before(x, 1);
        let all = x
            .builder()
            .concat(&[waiting.into_iter().collect(), vec![x]].concat(), 2);
        if self.place().1 {
            return all;
        }
        let t = all.dim(2);
        self.keep(all.slice(2, t - 1, 1));
        all.slice(2, 0, t - 1)
    }

    /// Time upsampling by two; the video's first frame stays single.
    pub(super) fn upsample_time(&self, x: Value<'g>) -> Value<'g> {
        let (first, last) = self.place();
        let g = x.builder();
        let t = x.dim(2);
        let single = first.then(|| x.slice(2, 0, 1));
        if first && t == 1 {
            return x;
        }
        let rest = if first { x.slice(2, 1, t - 1) } else { x };
        if !self.config.linear_time() {
            let doubled = interleave(rest, rest);
            return g.concat(&[single.into_iter().collect(), vec![doubled]].concat(), 2);
        }
        let frames = match self.before(x, 1) {
            Some(waiting) => g.concat(&[waiting, rest], 2),
            None => rest,
        };
        let n = frames.dim(2);
        self.keep(frames.slice(2, n - 1, 1));
        let mut parts: Vec<Value<'g>> = single.into_iter().collect();
        if first {
            parts.push(frames.slice(2, 0, 1));
        }
        if n > 1 {
            let (a, b) = (frames.slice(2, 0, n - 1), frames.slice(2, 1, n - 1));
            parts.push(interleave(a * 0.75 + b * 0.25, a * 0.25 + b * 0.75));
        }
        if last {
            parts.push(frames.slice(2, n - 1, 1));
        }
        g.concat(&parts, 2)
    }
}

/// Frames of `a` and `b` in turn.
pub(super) fn interleave<'g>(a: Value<'g>, b: Value<'g>) -> Value<'g> {
    let s = a.shape();
    let column = |v: Value<'g>| v.reshape([s[0], s[1], s[2], 1, s[3] * s[4]]);
    a.builder()
        .concat(&[column(a), column(b)], 3)
        .reshape([s[0], s[1], 2 * s[2], s[3], s[4]])
}

/// A two-dimensional layer over `[B, C, T, H, W]`, frame by frame.
pub(super) fn per_frame<'g>(x: Value<'g>, layer: impl FnOnce(Value<'g>) -> Value<'g>) -> Value<'g> {
    let s = x.shape();
    let frames = x
        .permute([0, 2, 1, 3, 4])
        .reshape([s[0] * s[2], s[1], s[3], s[4]]);
    let y = layer(frames);
    y.reshape([s[0], s[2], y.dim(1), y.dim(2), y.dim(3)])
        .permute([0, 2, 1, 3, 4])
}

pub(super) fn conv<'g>(
    p: &Params<'g>,
    x: Value<'g>,
    out: usize,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [(usize, usize); 2],
) -> Value<'g> {
    let weight = p.weight("weight", &[out, x.dim(1), kernel[0], kernel[1]]);
    x.conv(weight, Some(p.weight("bias", &[out])), &stride, &padding)
}

/// 3×3 convolution per frame of `[B, C, T, H, W]`.
pub(super) fn conv2d<'g>(p: &Params<'g>, x: Value<'g>, out: usize) -> Value<'g> {
    per_frame(x, |x| conv(p, x, out, [3, 3], [1, 1], [(1, 1), (1, 1)]))
}
