//! U-ViT: a vision transformer with long skip connections (Bao et al. 2023, arXiv 2209.12152).
//!
//! Follows baofff/U-ViT `libs/uvit.py` (class-conditional and unconditional) and `libs/uvit_t2i.py`
//! (text to image). All conditions are tokens in front of the patches: time, then a label before it
//! or the text behind it.

use std::rc::Rc;

use serde::Deserialize;

use super::config::{self, ModelConfig, require};
use crate::graph::{Builder, Graph, Params, Unary, Value};
use crate::nn;
use crate::tensor::DType;

/// The model's config, under the names of the authors' constructors.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Height and width of the image or latent.
    pub img_size: usize,
    /// Patch height and width.
    pub patch_size: usize,
    /// Channels of the image or latent.
    pub in_chans: usize,
    /// Width `D`.
    pub embed_dim: usize,
    /// Blocks besides the middle one: half before it, half after it.
    pub depth: usize,
    /// Heads `N`.
    pub num_heads: usize,
    /// Width of the MLP in units of `D`.
    #[serde(default = "four")]
    pub mlp_ratio: f64,
    /// Whether q, k and v have a bias.
    #[serde(default)]
    pub qkv_bias: bool,
    /// Whether the time token goes through an MLP.
    #[serde(default)]
    pub mlp_time_embed: bool,
    /// Rows of the label table; -1 for none.
    #[serde(default = "none")]
    pub num_classes: i64,
    /// Whether a 3×3 convolution ends the model.
    #[serde(default = "yes")]
    pub conv: bool,
    /// Whether the second half takes the first half's outputs.
    #[serde(default = "yes")]
    pub skip: bool,
    /// Width of the text embeddings; absent without text.
    pub clip_dim: Option<usize>,
    /// Text tokens.
    #[serde(default = "clip_tokens")]
    pub num_clip_token: usize,
}

fn four() -> f64 {
    4.0
}

fn none() -> i64 {
    -1
}

fn yes() -> bool {
    true
}

fn clip_tokens() -> usize {
    77
}

impl ModelConfig for Config {
    fn validate(&self) -> Result<(), String> {
        config::layers("depth", self.depth)?;
        config::sizes(&[
            ("img_size", self.img_size),
            ("patch_size", self.patch_size),
            ("in_chans", self.in_chans),
            ("embed_dim", self.embed_dim),
            ("num_heads", self.num_heads),
            ("mlp_ratio * embed_dim", self.mlp_hidden()),
            ("clip_dim", self.clip_dim.unwrap_or(1)),
            ("num_clip_token", self.num_clip_token),
        ])?;
        let heads = self.num_heads;
        require(
            self.embed_dim.is_multiple_of(heads),
            "embed_dim",
            self.embed_dim,
            &format!("it must be a multiple of the {heads} heads"),
        )?;
        require(
            self.embed_dim.is_multiple_of(2),
            "embed_dim",
            self.embed_dim,
            "the time token needs an even width",
        )?;
        let patch = self.patch_size;
        require(
            self.img_size.is_multiple_of(patch),
            "img_size",
            self.img_size,
            &format!("it must be a multiple of the patch {patch}"),
        )?;
        require(
            self.img_size <= 4096,
            "img_size",
            self.img_size,
            "at most 4096 is supported",
        )?;
        let labels = self.num_classes;
        require(
            labels == -1 || (1..1 << 20).contains(&labels),
            "num_classes",
            labels,
            "it must be -1 for none, or positive",
        )
    }
}

impl Config {
    /// Rows of the label table, where the model is class-conditional.
    pub fn labels(&self) -> Option<usize> {
        usize::try_from(self.num_classes)
            .ok()
            .filter(|_| self.clip_dim.is_none())
    }

    fn mlp_hidden(&self) -> usize {
        (self.embed_dim as f64 * self.mlp_ratio) as usize
    }
}

/// The model as a graph.
///
/// Inputs: `x [B, C, H, W] f32`, `timesteps [B] f32`, and `y [B] i64` (class-conditional) or
/// `context [B, L, clip_dim] f32` (text to image). Output: `sample [B, C, H, W] f32`.
pub fn transformer(config: &Config, batch: usize, compute: DType) -> Graph {
    let g = Builder::new(compute);
    let p = Params::renamed(&g, Rc::new(nn::fused_qkv_name));
    let (d, size) = (config.embed_dim, config.img_size);
    let image = g.input("x", DType::F32, [batch, config.in_chans, size, size]);
    let timesteps = g.input("timesteps", DType::F32, [batch]);
    let label = config
        .labels()
        .map(|rows| (rows, g.input("y", DType::I64, [batch])));
    let context = config
        .clip_dim
        .map(|width| g.input("context", DType::F32, [batch, config.num_clip_token, width]));

    let (mut x, extras) = g.scope("embed", || {
        let mut tokens = vec![
            time_token(config, &p, timesteps)
                .reshape([batch, 1, d])
                .cast(compute),
        ];
        if let Some((rows, y)) = label {
            let token = p.at("label_emb").weight("weight", &[rows, d]).gather(y);
            tokens.insert(0, token.reshape([batch, 1, d]));
        }
        tokens
            .extend(context.map(|text| nn::linear(&p.at("context_embed"), text.cast(compute), d)));
        let extras: usize = tokens.iter().map(|token| token.dim(1)).sum();
        tokens.push(nn::patch_embed(
            &p.at("patch_embed").at("proj"),
            image.cast(compute),
            config.patch_size,
            d,
        ));
        let x = g.concat(&tokens, 1);
        (x + p.weight("pos_embed", &[1, x.dim(1), d]), extras)
    });

    let mut skips = vec![];
    for i in 0..config.depth / 2 {
        x = g.scope(format!("in_blocks.{i}"), || {
            block(config, &p.at("in_blocks").at(i), x, None)
        });
        skips.push(x);
    }
    x = g.scope("mid_block", || block(config, &p.at("mid_block"), x, None));
    for i in 0..config.depth / 2 {
        let skip = skips.pop().filter(|_| config.skip);
        x = g.scope(format!("out_blocks.{i}"), || {
            block(config, &p.at("out_blocks").at(i), x, skip)
        });
    }

    let sample = g.scope("head", || {
        let (patch, c, grid) = (config.patch_size, config.in_chans, size / config.patch_size);
        let x = nn::linear(
            &p.at("decoder_pred"),
            nn::layer_norm(&p.at("norm"), x, 1e-5),
            patch * patch * c,
        );
        let image = x
            .slice(1, extras, grid * grid)
            .reshape([batch, grid, grid, patch, patch, c])
            .permute([0, 5, 1, 3, 2, 4])
            .reshape([batch, c, size, size]);
        let image = match config.conv {
            true => {
                let p = p.at("final_layer");
                let bias = p.weight("bias", &[c]);
                image.conv(
                    p.weight("weight", &[c, c, 3, 3]),
                    Some(bias),
                    &[1, 1],
                    &[(1, 1), (1, 1)],
                )
            }
            false => image,
        };
        image.cast(DType::F32)
    });
    g.finish([("sample", sample)])
}

fn time_token<'g>(config: &Config, p: &Params<'g>, timesteps: Value<'g>) -> Value<'g> {
    let half = config.embed_dim / 2;
    let sinusoids = nn::timestep_embedding(timesteps, half, half as f32);
    match config.mlp_time_embed {
        true => nn::mlp(
            &p.at("time_embed").in_f32(),
            ["0", "2"],
            sinusoids,
            4 * config.embed_dim,
            Unary::Silu,
            config.embed_dim,
        ),
        false => sinusoids,
    }
}

/// Pre-norm block; in the second half, the skip joins along the width and is projected back first.
fn block<'g>(config: &Config, p: &Params<'g>, x: Value<'g>, skip: Option<Value<'g>>) -> Value<'g> {
    let (d, g) = (config.embed_dim, x.builder());
    let x = match skip {
        Some(skip) => nn::linear(&p.at("skip_linear"), g.concat(&[x, skip], 2), d),
        None => x,
    };
    let normed = nn::layer_norm(&p.at("norm1"), x, 1e-5);
    let x = x + g.scope("attn", || {
        nn::self_attention(&p.at("attn"), normed, config.num_heads, config.qkv_bias)
    });
    let normed = nn::layer_norm(&p.at("norm2"), x, 1e-5);
    x + g.scope("mlp", || {
        nn::mlp(
            &p.at("mlp"),
            ["fc1", "fc2"],
            normed,
            config.mlp_hidden(),
            Unary::Gelu,
            d,
        )
    })
}
