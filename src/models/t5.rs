//! T5 v1.1 and mT5 text encoders (Raffel et al. 2020, arXiv 1910.10683; Xue et al. 2021, arXiv
//! 2010.11934).
//!
//! Follows huggingface/transformers 4.44.2 `models/t5/modeling_t5.py`, `T5EncoderModel`. There is no
//! score scaling, no bias in any layer, and one table of relative positions, in block 0, for all
//! blocks.

use serde::Deserialize;

use super::TextEncoder;
use super::config::{self, ModelConfig, require};
use crate::graph::{Builder, Graph, Mask, Params, Unary, Value};
use crate::nn;
use crate::tensor::{DType, HostTensor};

/// The encoder's config, under the names of transformers.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    /// Rows of the embedding table.
    pub vocab_size: usize,
    /// Width `D`.
    pub d_model: usize,
    /// Head size `K`.
    pub d_kv: usize,
    /// Width of the feed-forward layers.
    pub d_ff: usize,
    /// Blocks.
    pub num_layers: usize,
    /// Heads `N`; `N · K` may differ from `D`.
    pub num_heads: usize,
    /// Rows of the relative position table.
    #[serde(default = "buckets")]
    pub relative_attention_num_buckets: usize,
    /// From this distance on, positions share the last bucket.
    #[serde(default = "distance")]
    pub relative_attention_max_distance: usize,
    /// Added to the mean square in norms.
    #[serde(default = "eps")]
    pub layer_norm_epsilon: f32,
    /// Form and function of the feed-forward layers.
    #[serde(default = "relu")]
    pub feed_forward_proj: String,
}

fn buckets() -> usize {
    32
}

fn distance() -> usize {
    128
}

fn eps() -> f32 {
    1e-6
}

fn relu() -> String {
    "relu".into()
}

impl ModelConfig for Config {
    fn validate(&self) -> Result<(), String> {
        config::layers("num_layers", self.num_layers)?;
        config::sizes(&[
            ("d_model", self.d_model),
            ("d_kv", self.d_kv),
            ("d_ff", self.d_ff),
            ("num_heads", self.num_heads),
            ("vocab_size", self.vocab_size),
            (
                "relative_attention_max_distance",
                self.relative_attention_max_distance,
            ),
        ])?;
        let buckets = self.relative_attention_num_buckets;
        require(
            (4..=65536).contains(&buckets) && buckets.is_multiple_of(4),
            "relative_attention_num_buckets",
            buckets,
            "it must be a multiple of 4 up to 65536",
        )?;
        let distance = self.relative_attention_max_distance;
        require(
            distance > buckets / 4,
            "relative_attention_max_distance",
            distance,
            &format!("it must be above {}, a quarter of the buckets", buckets / 4),
        )?;
        require(
            self.d_kv * self.num_heads <= 1 << 20,
            "d_kv * num_heads",
            self.d_kv * self.num_heads,
            "at most 1048576 is supported",
        )?;
        self.feed_forward().map(|_| ())
    }
}

impl Config {
    /// Whether the feed-forward layers are gated, and their function.
    fn feed_forward(&self) -> Result<(bool, Unary), String> {
        match self.feed_forward_proj.as_str() {
            "gated-gelu" => Ok((true, Unary::GeluTanh)),
            "gated-silu" => Ok((true, Unary::Silu)),
            "gated-relu" => Ok((true, Unary::Relu)),
            "relu" => Ok((false, Unary::Relu)),
            "gelu" => Ok((false, Unary::Gelu)),
            other => Err(format!(
                "feed_forward_proj is {other:?}; gated-gelu, gated-silu, gated-relu, relu and gelu are supported"
            )),
        }
    }
}

impl TextEncoder for Config {
    fn width(&self) -> usize {
        self.d_model
    }

    fn vocabulary(&self) -> usize {
        self.vocab_size
    }

    /// Checkpoints of the whole model hold a decoder, and `.bin` files the tied copies of the table.
    fn known_unused(&self) -> &'static [&'static str] {
        &["decoder.*", "encoder.embed_tokens.weight", "lm_head.weight"]
    }

    fn graph(&self, batch: usize, tokens: usize, compute: DType) -> Graph {
        encoder(self, batch, tokens, true, compute)
    }
}

/// The encoder as a graph.
///
/// The residual stream is f32: it grows from block to block, beyond what an f16 holds in large encoders.
///
/// Inputs: `input_ids [B, L] i64` and, if `masked`, `attention_mask [B, L] f32`, 1 to keep. Output:
/// `last_hidden_state [B, L, D] f32`.
pub fn encoder(
    config: &Config,
    batch: usize,
    tokens: usize,
    masked: bool,
    compute: DType,
) -> Graph {
    let g = Builder::new(compute);
    let p = Params::new(&g);
    let d = config.d_model;
    let ids = g.input("input_ids", DType::I64, [batch, tokens]);
    let mask = masked.then(|| g.input("attention_mask", DType::F32, [batch, tokens]));
    let stack = p.at("encoder");
    let (mut x, bias) = g.scope("embed", || {
        let x = p
            .at("shared")
            .weight("weight", &[config.vocab_size, d])
            .gather(ids)
            .cast(DType::F32);
        let table = stack.at("block.0.layer.0.SelfAttention.relative_attention_bias");
        let bias = position_bias(config, &table, tokens);
        // The authors add the most negative finite number to the scores of padding.
        (
            x,
            mask.map_or(bias, |mask| bias + nn::mask_bias(mask, f32::MIN)),
        )
    });
    for i in 0..config.num_layers {
        let p = stack.at("block").at(i).at("layer");
        x = g.scope(format!("block.{i}"), || {
            let normed = rms_norm(config, &p.at("0.layer_norm"), x).cast(compute);
            let mixed = g.scope("attention", || {
                self_attention(config, &p.at("0.SelfAttention"), normed, bias)
            });
            let x = x + mixed.cast(DType::F32);
            let normed = rms_norm(config, &p.at("1.layer_norm"), x).cast(compute);
            let changed = g.scope("ff", || {
                feed_forward(config, &p.at("1.DenseReluDense"), normed)
            });
            x + changed.cast(DType::F32)
        });
    }
    let out = g.scope("head", || {
        rms_norm(config, &stack.at("final_layer_norm"), x)
    });
    g.finish([("last_hidden_state", out)])
}

fn rms_norm<'g>(config: &Config, p: &Params<'g>, x: Value<'g>) -> Value<'g> {
    x.rms_norm(
        p.in_f32().weight("weight", &[config.d_model]),
        config.layer_norm_epsilon,
    )
}

/// Scores' summand by relative position, `[1, N, L, L]` f32.
fn position_bias<'g>(config: &Config, p: &Params<'g>, tokens: usize) -> Value<'g> {
    let (buckets, heads) = (config.relative_attention_num_buckets, config.num_heads);
    let ids = (0..tokens * tokens).map(|i| {
        let (query, key) = (i / tokens, i % tokens);
        bucket(
            key as i64 - query as i64,
            buckets,
            config.relative_attention_max_distance,
        )
    });
    let ids = p
        .builder()
        .constant(HostTensor::i64([tokens, tokens], ids.collect()));
    p.in_f32()
        .weight("weight", &[buckets, heads])
        .gather(ids)
        .permute([2, 0, 1])
        .reshape([1, heads, tokens, tokens])
}

/// Which row of the table a distance has (`_relative_position_bucket`, bidirectional): the upper half
/// for keys after the query; within a half, exact distances up to half of it, then logarithmic ones.
fn bucket(distance: i64, buckets: usize, max_distance: usize) -> i64 {
    let half = buckets as i64 / 2;
    let side = if distance > 0 { half } else { 0 };
    let (distance, exact) = (distance.abs(), half / 2);
    if distance < exact {
        return side + distance;
    }
    // In f32, as the authors' code; the truncation is to an integer.
    let log =
        (distance as f32 / exact as f32).ln() / (max_distance as f64 / exact as f64).ln() as f32;
    side + (exact + (log * (half - exact) as f32) as i64).min(half - 1)
}

fn self_attention<'g>(config: &Config, p: &Params<'g>, x: Value<'g>, bias: Value<'g>) -> Value<'g> {
    let (heads, inner) = (config.num_heads, config.num_heads * config.d_kv);
    let project = |name: &str| nn::split_heads(nn::linear_opt(&p.at(name), x, inner, false), heads);
    let mixed = project("q").attention(project("k"), project("v"), 1.0, Some((Mask::Bias, bias)));
    nn::linear_opt(&p.at("o"), nn::merge_heads(mixed), config.d_model, false)
}

fn feed_forward<'g>(config: &Config, p: &Params<'g>, x: Value<'g>) -> Value<'g> {
    let (gated, f) = config.feed_forward().expect("the config was validated");
    let up = |name: &str| nn::linear_opt(&p.at(name), x, config.d_ff, false);
    let inner = match gated {
        true => up("wi_0").unary(f) * up("wi_1"),
        false => up("wi").unary(f),
    };
    // What leaves this layer can be larger than an f16; the authors keep it in f32 then
    // (`_keep_in_fp32_modules` in transformers' `modeling_t5.py`).
    let (wo, inner) = match inner.dtype() {
        DType::F16 => (p.at("wo").in_f32(), inner.cast(DType::F32)),
        _ => (p.at("wo"), inner),
    };
    nn::linear_opt(&wo, inner, config.d_model, false)
}

#[cfg(test)]
mod tests {
    use super::bucket;

    #[test]
    fn distances_fall_into_exact_then_logarithmic_buckets() {
        let of = |distance| bucket(distance, 32, 128);
        assert_eq!(
            [of(0), of(-1), of(-7), of(-8), of(-127), of(-5000)],
            [0, 1, 7, 8, 15, 15]
        );
        assert_eq!(
            [of(1), of(7), of(8), of(11), of(12), of(200)],
            [17, 23, 24, 24, 25, 31]
        );
    }
}
