//! DiT: the diffusion transformer with adaLN-Zero (Peebles and Xie 2023, arXiv 2212.09748).
//!
//! Follows facebookresearch/DiT `models.py` and, for checkpoints in the layout of diffusers, its
//! `DiTTransformer2DModel`. One model serves both: publishers differ in names, in where the
//! conditioning lives ([`Publisher`]) and in two constants.

use std::rc::Rc;

use serde::Deserialize;

use super::config::{self, ModelConfig, require};
use crate::graph::{Builder, Graph, Located, Params, Unary, Value};
use crate::nn;
use crate::tensor::DType;

/// Whose checkpoint it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Publisher {
    /// The authors' `.pt` files.
    Authors,
    /// Repositories in the layout of diffusers.
    Diffusers,
}

/// What the model needs to know, whoever published it.
#[derive(Clone, Debug)]
pub struct Config {
    /// Names and constants.
    pub publisher: Publisher,
    /// Height and width of the latent, the only ones that the position table serves.
    pub input_size: usize,
    /// Patch height and width.
    pub patch_size: usize,
    /// Channels of the latent.
    pub in_channels: usize,
    /// Channels of the output: noise, and the variance where it is learned.
    pub out_channels: usize,
    /// Width `D`.
    pub hidden_size: usize,
    /// Blocks.
    pub depth: usize,
    /// Heads `N`.
    pub num_heads: usize,
    /// Whether q, k and v have a bias.
    pub qkv_bias: bool,
    /// Width of the MLP.
    pub mlp_hidden: usize,
    /// Rows of the label table; the last one is the null class.
    pub labels: usize,
    /// Added to the variance in the norm before the MLP.
    pub mlp_norm_eps: f32,
}

#[derive(Deserialize)]
struct AuthorsConfig {
    input_size: usize,
    patch_size: usize,
    in_channels: usize,
    hidden_size: usize,
    depth: usize,
    num_heads: usize,
    #[serde(default = "four")]
    mlp_ratio: f64,
    #[serde(default = "tenth")]
    class_dropout_prob: f64,
    num_classes: usize,
    #[serde(default = "yes")]
    learn_sigma: bool,
}

fn four() -> f64 {
    4.0
}

fn tenth() -> f64 {
    0.1
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct DiffusersConfig {
    num_attention_heads: usize,
    attention_head_dim: usize,
    in_channels: usize,
    out_channels: Option<usize>,
    num_layers: usize,
    sample_size: usize,
    patch_size: usize,
    num_embeds_ada_norm: usize,
    #[serde(default = "default_eps")]
    norm_eps: f32,
    #[serde(default)]
    activation_fn: Option<String>,
    #[serde(default)]
    norm_type: Option<String>,
    #[serde(default = "yes")]
    attention_bias: bool,
}

fn default_eps() -> f32 {
    1e-5
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Published {
    Diffusers(DiffusersConfig),
    Authors(AuthorsConfig),
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let value = serde_json::Value::deserialize(deserializer)?;
        let published = match value.get("num_attention_heads") {
            Some(_) => serde_json::from_value(value).map(Published::Diffusers),
            None => serde_json::from_value(value).map(Published::Authors),
        };
        Self::of(published.map_err(D::Error::custom)?).map_err(D::Error::custom)
    }
}

impl Config {
    fn of(published: Published) -> Result<Self, String> {
        match published {
            Published::Authors(c) => Ok(Self {
                publisher: Publisher::Authors,
                input_size: c.input_size,
                patch_size: c.patch_size,
                in_channels: c.in_channels,
                out_channels: c.in_channels.saturating_mul(1 + usize::from(c.learn_sigma)),
                hidden_size: c.hidden_size,
                depth: c.depth,
                num_heads: c.num_heads,
                qkv_bias: true,
                mlp_hidden: (c.hidden_size as f64 * c.mlp_ratio) as usize,
                labels: c
                    .num_classes
                    .saturating_add(usize::from(c.class_dropout_prob > 0.0)),
                mlp_norm_eps: 1e-6,
            }),
            Published::Diffusers(c) => {
                let activation = c.activation_fn.as_deref().unwrap_or("gelu-approximate");
                require(
                    activation == "gelu-approximate",
                    "activation_fn",
                    activation,
                    "only gelu-approximate is supported",
                )?;
                let norm = c.norm_type.as_deref().unwrap_or("ada_norm_zero");
                require(
                    norm == "ada_norm_zero",
                    "norm_type",
                    norm,
                    "only ada_norm_zero is supported",
                )?;
                let hidden = c.num_attention_heads.saturating_mul(c.attention_head_dim);
                Ok(Self {
                    publisher: Publisher::Diffusers,
                    input_size: c.sample_size,
                    patch_size: c.patch_size,
                    in_channels: c.in_channels,
                    out_channels: c.out_channels.unwrap_or(c.in_channels),
                    hidden_size: hidden,
                    depth: c.num_layers,
                    num_heads: c.num_attention_heads,
                    qkv_bias: c.attention_bias,
                    mlp_hidden: hidden.saturating_mul(4),
                    labels: c.num_embeds_ada_norm.saturating_add(1),
                    mlp_norm_eps: c.norm_eps,
                })
            }
        }
    }

    /// Names of the publisher's checkpoints for the names used here, which are the authors' with
    /// `attn.qkv` split into `attn.q`, `attn.k` and `attn.v`.
    fn names(&self) -> Rc<crate::graph::Names> {
        match self.publisher {
            Publisher::Authors => Rc::new(authors_name),
            Publisher::Diffusers => Rc::new(diffusers_name),
        }
    }
}

impl ModelConfig for Config {
    fn validate(&self) -> Result<(), String> {
        config::layers("depth", self.depth)?;
        config::sizes(&[
            ("input_size", self.input_size),
            ("patch_size", self.patch_size),
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("hidden_size", self.hidden_size),
            ("num_heads", self.num_heads),
            ("mlp_ratio * hidden_size", self.mlp_hidden),
            ("num_classes", self.labels),
        ])?;
        let heads = self.num_heads;
        require(
            self.hidden_size.is_multiple_of(heads),
            "hidden_size",
            self.hidden_size,
            &format!("it must be a multiple of the {heads} heads"),
        )?;
        require(
            self.hidden_size.is_multiple_of(4),
            "hidden_size",
            self.hidden_size,
            "the position table needs a multiple of 4",
        )?;
        let patch = self.patch_size;
        require(
            self.input_size.is_multiple_of(patch),
            "input_size",
            self.input_size,
            &format!("it must be a multiple of the patch {patch}"),
        )?;
        require(
            self.input_size <= 4096,
            "input_size",
            self.input_size,
            "at most 4096 is supported",
        )
    }
}

/// `attn.{q,k,v}` are thirds of the rows of `attn.qkv`; all other names are the authors' own.
fn authors_name(name: &str, shape: &[usize]) -> Located {
    nn::fused_qkv_name(name, shape)
}

fn diffusers_name(name: &str, shape: &[usize]) -> Located {
    let renamed = [
        ("x_embedder.", "pos_embed."),
        ("blocks.", "transformer_blocks."),
        ("t_embedder.mlp.0", "norm1.emb.timestep_embedder.linear_1"),
        ("t_embedder.mlp.2", "norm1.emb.timestep_embedder.linear_2"),
        (
            "y_embedder.embedding_table",
            "norm1.emb.class_embedder.embedding_table",
        ),
        ("adaLN_modulation.1", "norm1.linear"),
        ("attn.q.", "attn1.to_q."),
        ("attn.k.", "attn1.to_k."),
        ("attn.v.", "attn1.to_v."),
        ("attn.proj.", "attn1.to_out.0."),
        ("mlp.fc1.", "ff.net.0.proj."),
        ("mlp.fc2.", "ff.net.2."),
    ];
    let name = match name.strip_prefix("final_layer.") {
        Some(rest) => rest
            .replace("adaLN_modulation.1", "proj_out_1")
            .replace("linear", "proj_out_2"),
        None => renamed.iter().fold(name.to_owned(), |name, (from, to)| {
            name.replacen(from, to, 1)
        }),
    };
    Located {
        name,
        file_shape: shape.to_vec(),
        steps: vec![],
    }
}

/// The transformer as a graph.
///
/// Inputs: `x [B, C, H, W] f32`, `t [B] f32`, `y [B] i64`. Output: `sample [B, out, H, W] f32`.
pub fn transformer(config: &Config, batch: usize, compute: DType) -> Graph {
    let g = Builder::new(compute);
    let (x, t, y) = inputs(config, &g, batch);
    let sample = forward(config, &g, x, t, y);
    g.finish([("sample", sample)])
}

/// The transformer under classifier-free guidance (`forward_with_cfg` of the authors): the second
/// half of the batch holds null labels and gets the latents of the first half; the first three
/// channels are guided, the others pass per half. `batch` is even. A further input `cfg_scale [1]`.
pub fn guided_transformer(config: &Config, batch: usize, compute: DType) -> Graph {
    let g = Builder::new(compute);
    let (x, t, y) = inputs(config, &g, batch);
    let scale = g.input("cfg_scale", DType::F32, [1]);
    let half = g.scope("embed", || x.slice(0, 0, batch / 2));
    let both = g.scope("embed", || g.concat(&[half, half], 0));
    let sample = forward(config, &g, both, t, y);
    let guided = g.scope("guidance", || {
        let [conditional, null] = sample.slice(1, 0, 3).chunk(0);
        let eps = null + (conditional - null) * scale;
        g.concat(
            &[
                g.concat(&[eps, eps], 0),
                sample.slice(1, 3, config.out_channels - 3),
            ],
            1,
        )
    });
    g.finish([("sample", guided)])
}

fn inputs<'g>(config: &Config, g: &'g Builder, batch: usize) -> (Value<'g>, Value<'g>, Value<'g>) {
    let size = config.input_size;
    let x = g.input("x", DType::F32, [batch, config.in_channels, size, size]);
    (
        x,
        g.input("t", DType::F32, [batch]),
        g.input("y", DType::I64, [batch]),
    )
}

fn forward<'g>(
    config: &Config,
    g: &'g Builder,
    x: Value<'g>,
    t: Value<'g>,
    y: Value<'g>,
) -> Value<'g> {
    let p = Params::renamed(g, config.names());
    let (compute, grid) = (g.compute_dtype(), config.input_size / config.patch_size);
    let shared = config.publisher == Publisher::Authors;
    let mut x = g.scope("embed", || {
        let patches = nn::patch_embed(
            &p.at("x_embedder").at("proj"),
            x.cast(compute),
            config.patch_size,
            config.hidden_size,
        );
        let table = match config.publisher {
            Publisher::Authors => p.weight("pos_embed", &[1, grid * grid, config.hidden_size]),
            Publisher::Diffusers => g
                .constant(nn::sin_cos_2d(grid, grid, config.hidden_size, 1.0))
                .cast(compute),
        };
        patches + table
    });
    // diffusers gives every block its own copy of the conditioning layers; the head uses block 0's.
    let of_block = |i: usize| p.at("blocks").at(i);
    let first = if shared { p.clone() } else { of_block(0) };
    let c = g.scope("embed", || condition(config, &first, t, y));
    for i in 0..config.depth {
        let block = of_block(i);
        x = g.scope(format!("blocks.{i}"), || {
            let c = if shared || i == 0 {
                c
            } else {
                condition(config, &block, t, y)
            };
            forward_block(config, &block, x, c)
        });
    }
    g.scope("head", || {
        let p = p.at("final_layer");
        let d = config.hidden_size;
        let modulation = nn::linear(&p.at("adaLN_modulation").at(1).in_f32(), c.silu(), 2 * d);
        let [shift, scale] = nn::rows(nn::row_table(modulation, 2));
        let (patch, out) = (config.patch_size, config.out_channels);
        let patches = nn::linear(
            &p.at("linear"),
            x.ada_layer_norm(shift, scale, 1e-6),
            patch * patch * out,
        );
        patches
            .reshape([x.dim(0), grid, grid, patch, patch, out])
            .permute([0, 5, 1, 3, 2, 4])
            .reshape([x.dim(0), out, grid * patch, grid * patch])
            .cast(DType::F32)
    })
}

/// Embedded timestep plus embedded label, `[B, D]` f32. The frequencies of diffusers end at
/// 1/10000 (`downscale_freq_shift = 1`), the authors' do not.
fn condition<'g>(config: &Config, p: &Params<'g>, t: Value<'g>, y: Value<'g>) -> Value<'g> {
    let d = config.hidden_size;
    let divisor = if config.publisher == Publisher::Authors {
        128.0
    } else {
        127.0
    };
    let time = nn::mlp(
        &p.at("t_embedder").at("mlp").in_f32(),
        ["0", "2"],
        nn::timestep_embedding(t, 128, divisor),
        d,
        Unary::Silu,
        d,
    );
    let labels = p
        .at("y_embedder")
        .at("embedding_table")
        .in_f32()
        .weight("weight", &[config.labels, d]);
    time + labels.gather(y)
}

/// adaLN-Zero block (figure 3 of the paper).
fn forward_block<'g>(config: &Config, p: &Params<'g>, x: Value<'g>, c: Value<'g>) -> Value<'g> {
    let (d, g) = (config.hidden_size, x.builder());
    let modulation = nn::linear(&p.at("adaLN_modulation").at(1).in_f32(), c.silu(), 6 * d);
    let [shift_a, scale_a, gate_a, shift_m, scale_m, gate_m] =
        nn::rows(nn::row_table(modulation, 6));
    let [gate_a, gate_m] = [gate_a, gate_m].map(|gate| gate.cast(x.dtype()));
    let normed = x.ada_layer_norm(shift_a, scale_a, 1e-6);
    let x = x + gate_a
        * g.scope("attn", || {
            nn::self_attention(&p.at("attn"), normed, config.num_heads, config.qkv_bias)
        });
    let normed = x.ada_layer_norm(shift_m, scale_m, config.mlp_norm_eps);
    x + gate_m
        * g.scope("mlp", || {
            nn::mlp(
                &p.at("mlp"),
                ["fc1", "fc2"],
                normed,
                config.mlp_hidden,
                Unary::GeluTanh,
                d,
            )
        })
}
