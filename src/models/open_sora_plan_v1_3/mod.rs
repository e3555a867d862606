//! Open-Sora Plan v1.3: text-to-video transformer with Skiparse attention, and its inpainting
//! variant for image to video.
//!
//! Follows PKU-YuanGroup/Open-Sora-Plan v1.3.1, `opensora/models/diffusion/opensora_v1_3/`
//! (`modeling_opensora.py`, `modeling_inpaint.py`, `modules.py`) and the Open-Sora Plan report
//! (arXiv 2412.00131). Tokens are in order `t h w`. A block has no norm before its cross attention,
//! and cross attention sees the whole text from every group of tokens, so it needs no regrouping.

mod config;

pub use config::Config;

use super::{Denoiser, DenoiserShape};
use crate::graph::{Builder, Graph, Mask, Params, Unary, Value};
use crate::nn::{self, Regroup, Rotary};
use crate::tensor::{DType, HostTensor};

impl Denoiser for Config {
    fn latent_channels(&self) -> usize {
        self.in_channels
    }

    fn patch(&self) -> [usize; 3] {
        [1, self.patch_size, self.patch_size]
    }

    fn text_width(&self) -> usize {
        self.caption_channels
    }

    fn trained_latent(&self) -> Option<[usize; 3]> {
        Some([
            self.sample_size_t?,
            self.sample_size_h?,
            self.sample_size_w?,
        ])
    }

    fn graph(&self, shape: &DenoiserShape, compute: DType) -> Graph {
        let DenoiserShape {
            batch,
            latent,
            text,
        } = *shape;
        let shape = Shape {
            batch,
            latent,
            text,
            text_mask: TextMask::Lengths,
            latent_mask: false,
        };
        transformer(self, &shape, compute)
    }
}

/// The shape that a graph is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows `B`.
    pub batch: usize,
    /// Latent `[T, H, W]`; height and width are at least a patch, and what exceeds a multiple of it
    /// is left out.
    pub latent: [usize; 3],
    /// Text tokens.
    pub text: usize,
    /// How text padding is given.
    pub text_mask: TextMask,
    /// Whether there is an `attention_mask` over the latent.
    pub latent_mask: bool,
}

/// How the padding of the text is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextMask {
    /// No padding.
    None,
    /// `encoder_lengths [B] i64`: tokens before the padding.
    Lengths,
    /// `encoder_attention_mask [B, L] f32`, 1 to keep: the authors' -10000 for each padding token.
    Bias,
}

/// The transformer as a graph.
///
/// Inputs: `hidden_states [B, C, T, H, W] f32` (inpainting: noisy latent, masked-video latent and
/// mask, in that order along `C`), `timestep [B] f32`, `encoder_hidden_states [B, L, caption] f32`,
/// and the masks that `shape` announces (`attention_mask [B, T, H, W] f32`, 1 to keep). Output:
/// `sample [B, out, T, H, W] f32`, height and width in multiples of the patch.
pub fn transformer(config: &Config, shape: &Shape, compute: DType) -> Graph {
    let g = Builder::new(compute);
    let p = Params::new(&g);
    let [t, h, w] = shape.latent;
    let b = shape.batch;
    let patch = config.patch_size;
    let grid = [t, h / patch, w / patch];
    let channels = match config.inpaint() {
        true => 2 * config.in_channels + config.vae_scale_factor_t,
        false => config.in_channels,
    };
    let latent = g.input("hidden_states", DType::F32, [b, channels, t, h, w]);
    let timestep = g.input("timestep", DType::F32, [b]);
    let text = g.input(
        "encoder_hidden_states",
        DType::F32,
        [b, shape.text, config.caption_channels],
    );
    let text_mask = match shape.text_mask {
        TextMask::None => None,
        TextMask::Lengths => Some((
            Mask::KeyLengths,
            g.input("encoder_lengths", DType::I64, [b]),
        )),
        TextMask::Bias => {
            let mask = g.input("encoder_attention_mask", DType::F32, [b, shape.text]);
            Some((
                Mask::Bias,
                g.scope("embed", || nn::mask_bias(mask, -10000.0)),
            ))
        }
    };
    let latent_mask = shape
        .latent_mask
        .then(|| g.input("attention_mask", DType::F32, [b, t, h, w]));

    let (mut x, text, modulation, embedded, masks) = g.scope("embed", || {
        // Rows and columns that fill no patch are left out, as a strided convolution does.
        let whole = latent
            .slice(3, 0, grid[1] * patch)
            .slice(4, 0, grid[2] * patch);
        let x = embed(config, &p, whole.cast(compute));
        let text = nn::mlp(
            &p.at("caption_projection"),
            ["linear_1", "linear_2"],
            text.cast(compute),
            config.width(),
            Unary::GeluTanh,
            config.width(),
        );
        let (modulation, embedded) = adaln_single(config, &p.at("adaln_single"), timestep);
        (
            x,
            text,
            modulation,
            embedded,
            SelfMasks::new(config, latent_mask, x),
        )
    });
    let scales = [
        config.interpolation_scale_t,
        config.interpolation_scale_h,
        config.interpolation_scale_w,
    ];
    let mut order = Regroup::Dense;
    let mut tables = vec![];
    for i in 0..config.num_layers {
        let regroup = config.regroup(i);
        let order_before = order;
        order = stream_order(regroup, x.dim(1));
        let known = tables.iter().find(|(known, _)| *known == order);
        let rotary = match known {
            Some((_, rotary)) => *rotary,
            None => {
                let tokens = order.order(x.dim(1));
                let rotary =
                    Rotary::on_grid(&g, &grid, &scales, config.attention_head_dim, &tokens);
                tables.push((order, rotary));
                rotary
            }
        };
        let block = Block {
            config,
            p: p.at("transformer_blocks").at(i),
            rotary,
            regroup,
            order,
        };
        let mask = masks.of(regroup);
        x = g.scope(format!("transformer_blocks.{i}"), || {
            let x = Regroup::reorder(x, order_before, order);
            block.forward(x, text, modulation, mask, text_mask)
        });
    }
    let sample = g.scope("head", || {
        let x = Regroup::reorder(x, order, Regroup::Dense);
        head(config, &p, x, embedded, grid)
    });
    g.finish([("sample", sample)])
}

/// The order in which a block's tokens lie: that of its groups, so that attention takes them as they
/// are; everything else in a block looks at each token alone. Where tokens would have to be added to
/// fill the groups, they stay in their own order.
fn stream_order(regroup: Regroup, tokens: usize) -> Regroup {
    match regroup.padding(tokens) {
        0 => regroup,
        _ => Regroup::Dense,
    }
}

/// Patch embedding per frame: `[B, C, T, H, W]` → `[B, T · H/p · W/p, D]`. The inpainting variant
/// adds embeddings of the masked video and of the mask.
fn embed<'g>(config: &Config, p: &Params<'g>, x: Value<'g>) -> Value<'g> {
    let width = config.width();
    let patches = |p: Params<'g>, x: Value<'g>| {
        let s = x.shape();
        let frames = x
            .permute([0, 2, 1, 3, 4])
            .reshape([s[0] * s[2], s[1], s[3], s[4]]);
        let tokens = nn::patch_embed(&p.at("proj"), frames, config.patch_size, width);
        let per_frame = tokens.dim(1);
        tokens.reshape([s[0], s[2] * per_frame, width])
    };
    let c = config.in_channels;
    let noisy = patches(p.at("pos_embed"), x.slice(1, 0, c));
    if !config.inpaint() {
        return noisy;
    }
    let projected = |name: &str, part: Value<'g>| {
        let p = p.at(name);
        nn::linear_opt(&p.at(1), patches(p.at(0), part), width, false)
    };
    let masked = projected("pos_embed_masked_hidden_states", x.slice(1, c, c));
    let mask = projected(
        "pos_embed_mask",
        x.slice(1, 2 * c, config.vae_scale_factor_t),
    );
    noisy + masked + mask
}

/// adaLN-single (PixArt-α, arXiv 2310.00426, section 2.3): one modulation for all blocks,
/// `[6, B, D]`, and the embedded timestep `[1, B, D]` for the head; both f32.
fn adaln_single<'g>(
    config: &Config,
    p: &Params<'g>,
    timestep: Value<'g>,
) -> (Value<'g>, Value<'g>) {
    let (b, width) = (timestep.dim(0), config.width());
    let sinusoids = nn::timestep_embedding(timestep, 128, 128.0);
    let embedded = nn::mlp(
        &p.at("emb").at("timestep_embedder").in_f32(),
        ["linear_1", "linear_2"],
        sinusoids,
        width,
        Unary::Silu,
        width,
    );
    let modulation = nn::linear(&p.at("linear").in_f32(), embedded.silu(), 6 * width);
    (
        nn::row_table(modulation, 6),
        embedded.reshape([1, b, width]),
    )
}

/// A block's own part of its modulation, `[n, 1, D]`.
fn scale_shift_table<'g>(p: &Params<'g>, n: usize, width: usize) -> Value<'g> {
    let table = p.in_f32().weight("scale_shift_table", &[n, width]);
    table.reshape([n, 1, width])
}

/// Summands or lengths that keep self attention off masked and added tokens, per regrouping.
struct SelfMasks<'g> {
    dense: Option<(Mask, Value<'g>)>,
    single: Option<(Mask, Value<'g>)>,
    group: Option<(Mask, Value<'g>)>,
}

impl<'g> SelfMasks<'g> {
    /// With a latent mask, the authors' summands: -10000 for masked tokens and -9980 for tokens that
    /// were only added to fill the groups. Without, the number of real tokens in each group.
    fn new(config: &Config, latent_mask: Option<Value<'g>>, x: Value<'g>) -> Self {
        let (b, tokens) = (x.dim(0), x.dim(1));
        let g = x.builder();
        let of = |regroup: Regroup| match latent_mask {
            Some(mask) => {
                let pooled = nn::max_pool(mask, [1, config.patch_size, config.patch_size])
                    .reshape([b, tokens]);
                let bias = pooled.affine(10000.0, -10000.0);
                let added = regroup.padding(tokens);
                let filler = g.constant(HostTensor::f32([b, added], vec![-9980.0; b * added]));
                let bias = if added == 0 {
                    bias
                } else {
                    g.concat(&[bias, filler], 1)
                };
                let keys = (tokens + added) / regroup.groups();
                Some((
                    Mask::Bias,
                    regroup
                        .split(bias)
                        .reshape([b * regroup.groups(), 1, 1, keys]),
                ))
            }
            None if regroup.padding(tokens) == 0 => None,
            None => {
                let lengths = (0..b)
                    .flat_map(|_| regroup.lengths(tokens))
                    .map(|n| n.max(1) as i64)
                    .collect();
                Some((
                    Mask::KeyLengths,
                    g.constant(HostTensor::i64([b * regroup.groups()], lengths)),
                ))
            }
        };
        let sparse = (0..config.num_layers).any(|i| config.regroup(i) != Regroup::Dense);
        let sparse = |regroup| if sparse { of(regroup) } else { None };
        Self {
            dense: of(Regroup::Dense),
            single: sparse(Regroup::Single(config.sparse_n)),
            group: sparse(Regroup::Group(config.sparse_n)),
        }
    }

    fn of(&self, regroup: Regroup) -> Option<(Mask, Value<'g>)> {
        match regroup {
            Regroup::Dense => self.dense,
            Regroup::Single(_) => self.single,
            Regroup::Group(_) => self.group,
        }
    }
}

/// One transformer block.
struct Block<'a, 'g> {
    config: &'a Config,
    p: Params<'g>,
    rotary: Rotary<'g>,
    regroup: Regroup,
    /// In which the tokens lie.
    order: Regroup,
}

impl<'g> Block<'_, 'g> {
    /// `x [B, L, D]`, `text [B, S, D]`, `modulation [6, B, D]`.
    fn forward(
        &self,
        x: Value<'g>,
        text: Value<'g>,
        modulation: Value<'g>,
        mask: Option<(Mask, Value<'g>)>,
        text_mask: Option<(Mask, Value<'g>)>,
    ) -> Value<'g> {
        let g = x.builder();
        let table = scale_shift_table(&self.p, 6, self.config.width());
        let [shift_a, scale_a, gate_a, shift_m, scale_m, gate_m] = nn::rows(modulation + table);
        let [gate_a, gate_m] = [gate_a, gate_m].map(|gate| gate.cast(x.dtype()));
        let x = x + gate_a
            * g.scope("attn1", || {
                self.self_attention(self.norm("norm1", x, shift_a, scale_a), mask)
            });
        let x = x + g.scope("attn2", || self.cross_attention(x, text, text_mask));
        x + gate_m
            * g.scope("ff", || {
                self.feed_forward(self.norm("norm2", x, shift_m, scale_m))
            })
    }

    fn norm(&self, name: &str, x: Value<'g>, shift: Value<'g>, scale: Value<'g>) -> Value<'g> {
        let eps = self.config.norm_eps;
        match self.config.norm_elementwise_affine {
            false => x.ada_layer_norm(shift, scale, eps),
            true => {
                let normed = nn::layer_norm(&self.p.at(name), x, eps);
                normed * (scale + 1.0).cast(x.dtype()) + shift.cast(x.dtype())
            }
        }
    }

    fn self_attention(&self, x: Value<'g>, mask: Option<(Mask, Value<'g>)>) -> Value<'g> {
        let Config {
            num_attention_heads: heads,
            attention_head_dim: size,
            attention_bias: bias,
            ..
        } = *self.config;
        let p = self.p.at("attn1");
        let tokens = x.dim(1);
        let turned = |name: &str| {
            let projected = self.rotary.linear(&p.at(name), x, heads, size, bias);
            self.rotary.apply(nn::split_heads(projected, heads))
        };
        let v = nn::split_heads(nn::linear_opt(&p.at("to_v"), x, heads * size, bias), heads);
        let ordered = self.order == self.regroup;
        let [q, k, v] = [turned("to_q"), turned("to_k"), v].map(|value| match ordered {
            true => self.regroup.apart(value),
            false => self.regroup.split(value),
        });
        let mixed = nn::attend(q, k, v, mask);
        let mixed = match ordered {
            true => self.regroup.together(mixed),
            false => self.regroup.merge(mixed, tokens),
        };
        nn::linear(&p.at("to_out").at(0), mixed, heads * size)
    }

    fn cross_attention(
        &self,
        x: Value<'g>,
        text: Value<'g>,
        mask: Option<(Mask, Value<'g>)>,
    ) -> Value<'g> {
        let heads = self.config.num_attention_heads;
        let p = self.p.at("attn2");
        let project = |name: &str, from: Value<'g>| {
            nn::split_heads(
                nn::linear_opt(
                    &p.at(name),
                    from,
                    self.config.width(),
                    self.config.attention_bias,
                ),
                heads,
            )
        };
        let mixed = nn::attend(
            project("to_q", x),
            project("to_k", text),
            project("to_v", text),
            mask,
        );
        nn::linear(&p.at("to_out").at(0), mixed, self.config.width())
    }

    fn feed_forward(&self, x: Value<'g>) -> Value<'g> {
        let (p, hidden) = (self.p.at("ff").at("net"), 4 * self.config.width());
        let up = FeedForward::named(&self.config.activation_fn).expect("the config was validated");
        let inner = match up {
            FeedForward::Plain(f) => nn::linear(&p.at(0).at("proj"), x, hidden).unary(f),
            FeedForward::Gated(f) => {
                let [value, gate] = nn::linear(&p.at(0).at("proj"), x, 2 * hidden).chunk(2);
                value * gate.unary(f)
            }
        };
        nn::linear(&p.at(2), inner, self.config.width())
    }
}

/// diffusers' feed-forward variants by their `activation_fn`.
enum FeedForward {
    Plain(Unary),
    Gated(Unary),
}

impl FeedForward {
    fn named(name: &str) -> Result<Self, String> {
        match name {
            "gelu-approximate" => Ok(Self::Plain(Unary::GeluTanh)),
            "gelu" => Ok(Self::Plain(Unary::Gelu)),
            "geglu" => Ok(Self::Gated(Unary::Gelu)),
            _ => Err(format!(
                "activation_fn is {name:?}; gelu-approximate, gelu and geglu are supported"
            )),
        }
    }
}

/// Norm, modulation, projection and unpatchify: `[B, L, D]` → `[B, out, T, H, W]` f32.
fn head<'g>(
    config: &Config,
    p: &Params<'g>,
    x: Value<'g>,
    embedded: Value<'g>,
    grid: [usize; 3],
) -> Value<'g> {
    let [shift, scale] = nn::rows(scale_shift_table(p, 2, config.width()) + embedded);
    let (patch, out) = (config.patch_size, config.out_channels());
    let patches = nn::linear(
        &p.at("proj_out"),
        x.ada_layer_norm(shift, scale, 1e-6),
        patch * patch * out,
    );
    let (b, [t, h, w]) = (x.dim(0), grid);
    patches
        .reshape([b, t, h, w, patch, patch, out])
        .permute([0, 6, 1, 2, 4, 3, 5])
        .reshape([b, out, t, h * patch, w * patch])
        .cast(DType::F32)
}
