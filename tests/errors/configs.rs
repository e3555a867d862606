//! Configs, key by key.

use serde_json::json;

use super::{Case, check, with};
use crate::program::Place;

/// The demo with another value of a key, and the message.
macro_rules! key {
    ($file:literal, $key:literal, $value:tt, $stderr:literal) => {
        with(
            |place: &Place| {
                place.demo();
                place.set(concat!("demo/", $file), $key, json!($value));
            },
            "+ --model demo",
            2,
            $stderr,
        )
    };
}

fn transformer() -> Vec<Case> {
    vec![
        key!(
            "transformer/config.json",
            "_class_name",
            "DiTTransformer2DModel",
            "?"
        ),
        key!(
            "transformer/config.json",
            "_class_name",
            "OpenSoraInpaint_v1_3",
            "?"
        ),
        key!("transformer/config.json", "num_layers", 0, "?"),
        key!("transformer/config.json", "num_layers", "eight", "?"),
        key!("transformer/config.json", "num_layers", (-1), "?"),
        key!(
            "transformer/config.json",
            "num_attention_heads",
            3000000,
            "?"
        ),
        key!("transformer/config.json", "attention_head_dim", 50, "?"),
        key!("transformer/config.json", "cross_attention_dim", 100, "?"),
        key!("transformer/config.json", "out_channels", 16, "?"),
        key!("transformer/config.json", "patch_size", 0, "?"),
        key!("transformer/config.json", "patch_size_t", 2, "?"),
        key!("transformer/config.json", "activation_fn", "relu", "?"),
        key!("transformer/config.json", "only_cross_attention", true, "?"),
        key!(
            "transformer/config.json",
            "double_self_attention",
            true,
            "?"
        ),
        key!(
            "transformer/config.json",
            "norm_elementwise_affine",
            true,
            "?"
        ),
        key!("transformer/config.json", "norm_eps", 0, "?"),
        key!("transformer/config.json", "interpolation_scale_h", 0, "?"),
        key!("transformer/config.json", "sparse_n", 0, "?"),
        key!("transformer/config.json", "sparse1d", "yes", "?"),
    ]
}

fn vae() -> Vec<Case> {
    vec![
        key!("vae/config.json", "_class_name", "AutoencoderKL", "?"),
        key!("vae/config.json", "latent_dim", 16, "?"),
        key!("vae/config.json", "base_channels", 0, "?"),
        key!("vae/config.json", "base_channels", 33, "?"),
        key!("vae/config.json", "decoder_num_resblocks", (-2), "?"),
        key!("vae/config.json", "norm_type", "batchnorm", "?"),
        key!("vae/config.json", "t_interpolation", "bicubic", "?"),
        key!("vae/config.json", "connect_res_layer_num", 9, "?"),
        key!(
            "vae/config.json",
            "l1_downsample_wavelet",
            "Daubechies",
            "?"
        ),
        key!("vae/config.json", "l2_upsample_wavelet", "Daubechies", "?"),
        key!("vae/config.json", "scale", [1.0, 1.0], "?"),
        key!("vae/config.json", "shift", "none", "?"),
    ]
}

fn text_encoder() -> Vec<Case> {
    vec![
        key!(
            "text_encoder/config.json",
            "architectures",
            ["BertModel"],
            "?"
        ),
        key!("text_encoder/config.json", "d_model", 0, "?"),
        key!("text_encoder/config.json", "num_layers", 0, "?"),
        key!(
            "text_encoder/config.json",
            "feed_forward_proj",
            "swiglu",
            "?"
        ),
        key!(
            "text_encoder/config.json",
            "relative_attention_num_buckets",
            1,
            "?"
        ),
    ]
}

fn scheduler() -> Vec<Case> {
    vec![
        key!(
            "scheduler/scheduler_config.json",
            "_class_name",
            "MagicScheduler",
            "?"
        ),
        key!(
            "scheduler/scheduler_config.json",
            "beta_schedule",
            "wavy",
            "?"
        ),
        key!(
            "scheduler/scheduler_config.json",
            "prediction_type",
            "mood",
            "?"
        ),
        key!(
            "scheduler/scheduler_config.json",
            "timestep_spacing",
            "random",
            "?"
        ),
        key!(
            "scheduler/scheduler_config.json",
            "num_train_timesteps",
            0,
            "?"
        ),
        key!("scheduler/scheduler_config.json", "beta_end", "high", "?"),
    ]
}

fn generation() -> Vec<Case> {
    vec![
        key!("generation_config.json", "num_framez", 17, "?"),
        key!("generation_config.json", "num_frames", 16, "?"),
        key!("generation_config.json", "num_inference_steps", 0, "?"),
        key!("generation_config.json", "height", "tall", "?"),
        key!("generation_config.json", "fps", 0, "?"),
        key!("generation_config.json", "prompt_template", "a film", "?"),
        key!("generation_config.json", "max_sequence_length", 0, "?"),
    ]
}

pub(super) fn cases() -> Vec<Case> {
    [
        transformer(),
        vae(),
        text_encoder(),
        scheduler(),
        generation(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn wrong_keys_of_the_transformer_are_told_exactly() {
    check(&transformer());
}

#[test]
fn wrong_keys_of_the_vae_are_told_exactly() {
    check(&vae());
}

#[test]
fn wrong_keys_of_the_text_encoder_are_told_exactly() {
    check(&text_encoder());
}

#[test]
fn wrong_keys_of_the_scheduler_are_told_exactly() {
    check(&scheduler());
}

#[test]
fn wrong_defaults_are_told_exactly() {
    check(&generation());
}
