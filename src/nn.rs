//! Layers as graph fragments: what several architectures share.
//!
//! Each function takes the weight cursor of its layer and reads its weights under the names that
//! PyTorch gives them (`weight`, `bias`).

use crate::graph::{Located, Mask, Params, Reduce, RopePairs, Unary, Value, ViewStep};
use crate::tensor::{DType, HostTensor};

/// `nn.Linear`: `x [.., I]` → `[.., out]`, with a bias.
pub fn linear<'g>(p: &Params<'g>, x: Value<'g>, out: usize) -> Value<'g> {
    linear_opt(p, x, out, true)
}

/// `nn.Linear` with or without a bias.
pub fn linear_opt<'g>(p: &Params<'g>, x: Value<'g>, out: usize, bias: bool) -> Value<'g> {
    let inner = x.dim(x.rank() - 1);
    let bias = bias.then(|| p.weight("bias", &[out]));
    x.linear(p.weight("weight", &[out, inner]), bias)
}

/// `nn.LayerNorm` over the last axis with weight and bias.
pub fn layer_norm<'g>(p: &Params<'g>, x: Value<'g>, eps: f32) -> Value<'g> {
    let d = x.dim(x.rank() - 1);
    x.layer_norm(
        x.rank() - 1,
        eps,
        Some((p.weight("weight", &[d]), p.weight("bias", &[d]))),
    )
}

/// Two linear layers with a function between: `names[0]`, `f`, `names[1]`.
pub fn mlp<'g>(
    p: &Params<'g>,
    names: [&str; 2],
    x: Value<'g>,
    hidden: usize,
    f: Unary,
    out: usize,
) -> Value<'g> {
    linear(
        &p.at(names[1]),
        linear(&p.at(names[0]), x, hidden).unary(f),
        out,
    )
}

/// Sinusoidal embedding of timesteps `t [B] f32` → `[B, 2 n]` f32: `[cos(t f_i) | sin(t f_i)]` with
/// `f_i = exp(-ln(10000) i / divisor)`, `i < n`.
///
/// The frequencies and the products are formed in f32, as every implementation of the lineage does
/// (Ho et al. 2020; `timestep_embedding` in facebookresearch/DiT `models.py`); f64 would move
/// results by up to 3e-5.
pub fn timestep_embedding<'g>(t: Value<'g>, n: usize, divisor: f32) -> Value<'g> {
    let b = t.dim(0);
    let frequency = |i: usize| (-(10000f32.ln()) * i as f32 / divisor).exp();
    let frequencies = t
        .builder()
        .constant(HostTensor::f32([1, n], (0..n).map(frequency).collect()));
    let angles = t.reshape([b, 1]) * frequencies;
    t.builder()
        .concat(&[angles.unary(Unary::Cos), angles.unary(Unary::Sin)], 1)
}

/// Patch embedding: `x [B, C, H, W]` → `[B, H/p · W/p, D]`, a convolution whose kernel and stride
/// are the patch.
pub fn patch_embed<'g>(p: &Params<'g>, x: Value<'g>, patch: usize, width: usize) -> Value<'g> {
    let (b, c) = (x.dim(0), x.dim(1));
    let (h, w) = (x.dim(2) / patch, x.dim(3) / patch);
    // Patches do not overlap: cut them out and multiply.
    let rows = x
        .reshape([b, c, h, patch, w, patch])
        .permute([0, 2, 4, 1, 3, 5])
        .reshape([b, h * w, c * patch * patch]);
    let kernel = p
        .weight("weight", &[width, c, patch, patch])
        .reshape([width, c * patch * patch]);
    rows.linear(kernel, Some(p.weight("bias", &[width])))
}

/// Heads of `[B, L, N · K]` → `[B, L, N, K]`.
pub fn split_heads(x: Value<'_>, heads: usize) -> Value<'_> {
    let (b, l, d) = (x.dim(0), x.dim(1), x.dim(2));
    x.reshape([b, l, heads, d / heads])
}

/// Heads of `[B, L, N, K]` → `[B, L, N · K]`.
pub fn merge_heads(x: Value<'_>) -> Value<'_> {
    let (b, l, d) = (x.dim(0), x.dim(1), x.dim(2) * x.dim(3));
    x.reshape([b, l, d])
}

/// Rotary tables for one axis or several.
#[derive(Clone, Copy)]
pub struct Rotary<'g> {
    cos: Value<'g>,
    sin: Value<'g>,
    sections: usize,
}

impl<'g> Rotary<'g> {
    /// Tables for tokens on a grid in order of its axes, the last fastest. A head's channels are cut
    /// into one equal section per axis; within a section of `s` channels, channel `i` and channel
    /// `i + s/2` turn by `position / scale · 10000^(-2 i / s)` (RoPE3D in PKU-YuanGroup/
    /// Open-Sora-Plan v1.3.1, `opensora/models/diffusion/common.py`).
    ///
    /// Attention scores do not change when the channels of q and k are permuted alike, so the halves
    /// of all sections are gathered: [`Rotary::linear`] permutes the rows of the q and k weights, and
    /// the rotation becomes one rotate-half over the whole head.
    ///
    /// `order` lists the tokens as they lie in the sequence.
    pub fn on_grid(
        builder: &'g crate::graph::Builder,
        grid: &[usize],
        scales: &[f32],
        head_size: usize,
        order: &[usize],
    ) -> Self {
        let section = head_size / grid.len();
        let tokens = order.len();
        let mut angles = vec![0f32; tokens * (head_size / 2)];
        for (&token, row) in order.iter().zip(angles.chunks_mut(head_size / 2)) {
            let mut rest = token;
            for axis in (0..grid.len()).rev() {
                let position = (rest % grid[axis]) as f32 / scales[axis];
                rest /= grid[axis];
                for i in 0..section / 2 {
                    let inverse = 1.0 / 10000f32.powf((2 * i) as f32 / section as f32);
                    row[axis * (section / 2) + i] = position * inverse;
                }
            }
        }
        let table = |f: fn(f32) -> f32| {
            builder.constant(HostTensor::f32(
                [tokens, head_size / 2],
                angles.iter().map(|&a| f(a)).collect(),
            ))
        };
        Self {
            cos: table(f32::cos),
            sin: table(f32::sin),
            sections: grid.len(),
        }
    }

    /// The linear layer that makes q or k, with each head's channels in the order that
    /// [`Rotary::apply`] wants.
    pub fn linear(
        &self,
        p: &Params<'g>,
        x: Value<'g>,
        heads: usize,
        head_size: usize,
        bias: bool,
    ) -> Value<'g> {
        let (inner, out) = (x.dim(x.rank() - 1), heads * head_size);
        let halves = head_size / self.sections / 2;
        let split = ViewStep::Split {
            axis: 0,
            sizes: vec![heads, self.sections, 2, halves],
        };
        let rows = [split.clone(), ViewStep::Permute(vec![0, 2, 1, 3, 4])];
        let entries = [split, ViewStep::Permute(vec![0, 2, 1, 3])];
        let weight = p.weight_viewed("weight", &[out, inner], &rows);
        let bias = bias.then(|| p.weight_viewed("bias", &[out], &entries));
        x.linear(weight, bias)
    }

    /// Turns `x [B, L, N, K]`, which came from [`Rotary::linear`].
    pub fn apply(&self, x: Value<'g>) -> Value<'g> {
        x.rope(self.cos, self.sin, RopePairs::Halves)
    }
}

/// How tokens are regrouped so that attention runs within groups only.
///
/// `Single` and `Group` are the two steps of Skiparse attention (Open-Sora Plan v1.3 report;
/// `_sparse_1d` in `opensora/models/diffusion/opensora_v1_3/modules.py`): with `L` tokens padded to
/// a multiple of `n²`, `Single` puts token `g n + r` into group `r`, `Group` puts token
/// `(j n + m) n + k` into group `m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regroup {
    /// One group of all tokens.
    Dense,
    /// Every n-th token.
    Single(usize),
    /// n neighbouring tokens of every n².
    Group(usize),
}

impl Regroup {
    /// Number of groups.
    pub fn groups(self) -> usize {
        match self {
            Self::Dense => 1,
            Self::Single(n) | Self::Group(n) => n,
        }
    }

    /// Tokens added behind so that all groups are equally long.
    pub fn padding(self, tokens: usize) -> usize {
        match self {
            Self::Dense => 0,
            Self::Single(n) | Self::Group(n) => tokens.next_multiple_of(n * n) - tokens,
        }
    }

    /// Tokens of each group that were not added behind.
    pub fn lengths(self, tokens: usize) -> Vec<usize> {
        let real = |group: usize, n: usize, of: fn(usize, usize) -> usize| {
            (0..tokens).filter(|&token| of(token, n) == group).count()
        };
        match self {
            Self::Dense => vec![tokens],
            Self::Single(n) => (0..n).map(|r| real(r, n, |token, n| token % n)).collect(),
            Self::Group(n) => (0..n)
                .map(|m| real(m, n, |token, n| token / n % n))
                .collect(),
        }
    }

    /// In which order the axes of tokens `(j n + m) n + k`, `[j, m, k]`, lie in memory when groups lie
    /// one after the other.
    fn axes(self) -> [usize; 3] {
        match self {
            Self::Dense => [0, 1, 2],
            Self::Single(_) => [2, 0, 1],
            Self::Group(_) => [1, 0, 2],
        }
    }

    /// The tokens of a sequence in the order of their groups, `tokens` a multiple of `n²`.
    pub fn order(self, tokens: usize) -> Vec<usize> {
        let n = self.groups();
        let sizes = [tokens / (n * n), n, n];
        let [a, b, c] = self.axes();
        let mut order = Vec::with_capacity(tokens);
        for x in 0..sizes[a] {
            for y in 0..sizes[b] {
                for z in 0..sizes[c] {
                    let mut at = [0; 3];
                    (at[a], at[b], at[c]) = (x, y, z);
                    order.push((at[0] * n + at[1]) * n + at[2]);
                }
            }
        }
        order
    }

    /// `x [B, L, ..]` with tokens in the order of one grouping → in that of another.
    pub fn reorder(x: Value<'_>, from: Self, to: Self) -> Value<'_> {
        let n = from.groups().max(to.groups());
        if from == to {
            return x;
        }
        let shape = x.shape();
        let inner: usize = shape[2..].iter().product();
        let sizes = [shape[1] / (n * n), n, n];
        let lying = from.axes();
        let [a, b, c] = lying.map(|axis| sizes[axis]);
        let place = |axis: usize| 1 + lying.iter().position(|&lies| lies == axis).unwrap_or(axis);
        let [d, e, f] = to.axes().map(place);
        x.reshape([shape[0], a, b, c, inner])
            .permute([0, d, e, f, 4])
            .reshape(shape)
    }

    /// `x [B, L, ..]` → `[B · groups, L' / groups, ..]`, zeros added where `L` is short.
    pub fn split(self, x: Value<'_>) -> Value<'_> {
        let x = x.pad(1, 0, self.padding(x.dim(1)));
        self.apart(Self::reorder(x, Self::Dense, self))
    }

    /// The inverse of [`Regroup::split`] for `tokens` tokens.
    pub fn merge(self, x: Value<'_>, tokens: usize) -> Value<'_> {
        Self::reorder(self.together(x), self, Self::Dense).slice(1, 0, tokens)
    }

    /// `x [B, L, ..]` whose tokens lie in the order of the groups → `[B · groups, L / groups, ..]`.
    pub fn apart(self, x: Value<'_>) -> Value<'_> {
        let mut shape = x.shape();
        shape[0] *= self.groups();
        shape[1] /= self.groups();
        x.reshape(shape)
    }

    /// The inverse of [`Regroup::apart`].
    pub fn together(self, x: Value<'_>) -> Value<'_> {
        let mut shape = x.shape();
        shape[0] /= self.groups();
        shape[1] *= self.groups();
        x.reshape(shape)
    }
}

/// Scores' summand from a mask `[B, L]` of 1 (keep) and 0: 0 or `penalty`, as `[B, 1, 1, L]`.
pub fn mask_bias(mask: Value<'_>, penalty: f32) -> Value<'_> {
    let (b, l) = (mask.dim(0), mask.dim(1));
    mask.cast(DType::F32)
        .affine(-penalty, penalty)
        .reshape([b, 1, 1, l])
}

/// Softmax attention over heads: `q [B, L, N, K]`, `k, v [B, S, N, K]` → `[B, L, N · K]`, scores
/// scaled by `K^-0.5`.
pub fn attend<'g>(
    q: Value<'g>,
    k: Value<'g>,
    v: Value<'g>,
    mask: Option<(Mask, Value<'g>)>,
) -> Value<'g> {
    let scale = (q.dim(3) as f32).powf(-0.5);
    merge_heads(q.attention(k, v, scale, mask))
}

/// The rows of an adaLN table `[n, B, D]`, each `[B, 1, D]`. They come first so that each lies in one
/// piece.
pub fn rows<const N: usize>(table: Value<'_>) -> [Value<'_>; N] {
    let (b, d) = (table.dim(1), table.dim(2));
    table.chunk(0).map(|row| row.reshape([b, 1, d]))
}

/// An adaLN projection `[B, n · D]` as the table `[n, B, D]` that [`rows`] takes.
pub fn row_table(projected: Value<'_>, n: usize) -> Value<'_> {
    let (b, width) = (projected.dim(0), projected.dim(1));
    projected.reshape([b, n, width / n]).permute([1, 0, 2])
}

/// Largest entry over non-overlapping windows of the last three axes of `[B, T, H, W]`.
pub fn max_pool(x: Value<'_>, window: [usize; 3]) -> Value<'_> {
    let s = x.shape();
    let cells = [s[1] / window[0], s[2] / window[1], s[3] / window[2]];
    let kept = x
        .slice(1, 0, cells[0] * window[0])
        .slice(2, 0, cells[1] * window[1])
        .slice(3, 0, cells[2] * window[2]);
    kept.reshape([
        s[0], cells[0], window[0], cells[1], window[1], cells[2], window[2],
    ])
    .reduce(Reduce::Max, &[2, 4, 6])
    .reshape([s[0], cells[0], cells[1], cells[2]])
}

/// The two-dimensional sine and cosine position table `[rows · columns, D]` of the MAE and DiT code
/// (`get_2d_sincos_pos_embed` in facebookresearch/DiT `models.py`): the first half of the channels
/// encodes the column, the second the row; each half is `[sin | cos]` of
/// `position · 10000^(-2 i / (D/2))`, formed in f64.
pub fn sin_cos_2d(rows: usize, columns: usize, width: usize, scale: f64) -> HostTensor {
    let quarter = width / 4;
    let mut table = Vec::with_capacity(rows * columns * width);
    for row in 0..rows {
        for column in 0..columns {
            for position in [column, row] {
                let angle =
                    |i: usize| position as f64 * scale / 10000f64.powf(i as f64 / quarter as f64);
                table.extend((0..quarter).map(|i| angle(i).sin() as f32));
                table.extend((0..quarter).map(|i| angle(i).cos() as f32));
            }
        }
    }
    HostTensor::f32([rows * columns, width], table)
}

/// Self-attention of the vision transformers: `q`, `k`, `v` (with or without bias), `proj`.
pub fn self_attention<'g>(p: &Params<'g>, x: Value<'g>, heads: usize, qkv_bias: bool) -> Value<'g> {
    let d = x.dim(2);
    let project = |name: &str| split_heads(linear_opt(&p.at(name), x, d, qkv_bias), heads);
    linear(
        &p.at("proj"),
        attend(project("q"), project("k"), project("v"), None),
        d,
    )
}

/// Where a weight lies in a checkpoint that keeps `attn.q`, `attn.k` and `attn.v` as thirds of the
/// rows of one `attn.qkv` (timm's `Attention`); other names are kept.
pub fn fused_qkv_name(name: &str, shape: &[usize]) -> Located {
    for (third, part) in ["attn.q.", "attn.k.", "attn.v."].into_iter().enumerate() {
        if name.contains(part) {
            let rows = shape[0];
            let mut file_shape = shape.to_vec();
            file_shape[0] = 3 * rows;
            let steps = vec![ViewStep::Slice {
                axis: 0,
                start: third * rows,
                len: rows,
            }];
            return Located {
                name: name.replace(part, "attn.qkv."),
                file_shape,
                steps,
            };
        }
    }
    Located {
        name: name.to_owned(),
        file_shape: shape.to_vec(),
        steps: vec![],
    }
}
