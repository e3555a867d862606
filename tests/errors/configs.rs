//! Configs, key by key.

use serde_json::{Value, json};

use super::{Case, check, with};
use crate::program::Place;

/// The demo with another value of a key, and the message.
fn key(file: &'static str, key: &'static str, value: Value, stderr: &'static str) -> Case {
    let setup = move |place: &Place| {
        place.demo();
        place.set(&format!("demo/{file}"), key, value.clone());
    };
    with(setup, "+ --model demo", 2, stderr)
}

fn transformer() -> Vec<Case> {
    vec![
        key(
            "transformer/config.json",
            "_class_name",
            json!("DiTTransformer2DModel"),
            "ERROR demo/transformer/config.json: unknown transformer class \"DiTTransformer2DModel\"; known: OpenSoraT2V_v1_3",
        ),
        key(
            "transformer/config.json",
            "_class_name",
            json!("OpenSoraInpaint_v1_3"),
            "ERROR demo/transformer/config.json: is an image-to-video transformer (OpenSoraInpaint_v1_3), which generate cannot use yet; verify runs it with --arch open-sora-plan-v1.3-i2v",
        ),
        key(
            "transformer/config.json",
            "num_layers",
            json!(0),
            "ERROR demo/transformer/config.json: unsupported config: num_layers is 0; it must be between 1 and 1024",
        ),
        key(
            "transformer/config.json",
            "num_layers",
            json!("eight"),
            "ERROR demo/transformer/config.json: wrong config: num_layers: invalid type: string \"eight\", expected usize",
        ),
        key(
            "transformer/config.json",
            "num_layers",
            json!(-1),
            "ERROR demo/transformer/config.json: wrong config: num_layers: invalid value: integer `-1`, expected usize",
        ),
        key(
            "transformer/config.json",
            "num_attention_heads",
            json!(3000000),
            "ERROR demo/transformer/config.json: unsupported config: num_attention_heads is 3000000; it must be between 1 and 1048576",
        ),
        key(
            "transformer/config.json",
            "attention_head_dim",
            json!(50),
            "ERROR demo/transformer/config.json: unsupported config: attention_head_dim is 50; 3-D rotary embedding needs a multiple of 6",
        ),
        key(
            "transformer/config.json",
            "cross_attention_dim",
            json!(100),
            "ERROR demo/transformer/config.json: unsupported config: cross_attention_dim is 100; it must be the model's width 192",
        ),
        key(
            "transformer/config.json",
            "out_channels",
            json!(16),
            "ERROR transformer: 2 tensors do not fit: proj_out.bias: expected [64], file has f16[32] (diffusion_pytorch_model.safetensors); proj_out.weight: expected [64, 192], file has f16[32, 192] (diffusion_pytorch_model.safetensors)",
        ),
        key(
            "transformer/config.json",
            "patch_size",
            json!(0),
            "ERROR demo/transformer/config.json: unsupported config: patch_size is 0; it must be between 1 and 1048576",
        ),
        key(
            "transformer/config.json",
            "patch_size_t",
            json!(2),
            "ERROR demo/transformer/config.json: unsupported config: patch_size_t is 2; only 1 is supported",
        ),
        key(
            "transformer/config.json",
            "activation_fn",
            json!("relu"),
            "ERROR demo/transformer/config.json: unsupported config: activation_fn is \"relu\"; gelu-approximate, gelu and geglu are supported",
        ),
        key(
            "transformer/config.json",
            "only_cross_attention",
            json!(true),
            "ERROR demo/transformer/config.json: unsupported config: only_cross_attention is true; only false is supported",
        ),
        key(
            "transformer/config.json",
            "double_self_attention",
            json!(true),
            "ERROR demo/transformer/config.json: unsupported config: double_self_attention is true; only false is supported",
        ),
        key(
            "transformer/config.json",
            "norm_eps",
            json!(0),
            "ERROR demo/transformer/config.json: unsupported config: norm_eps is 0; it must be positive",
        ),
        key(
            "transformer/config.json",
            "interpolation_scale_h",
            json!(0),
            "ERROR demo/transformer/config.json: unsupported config: interpolation_scale_h is 0; it must be positive",
        ),
        key(
            "transformer/config.json",
            "sparse_n",
            json!(0),
            "ERROR demo/transformer/config.json: unsupported config: sparse_n is 0; it must be between 1 and 1048576",
        ),
        key(
            "transformer/config.json",
            "sparse1d",
            json!("yes"),
            "ERROR demo/transformer/config.json: wrong config: sparse1d: invalid type: string \"yes\", expected a boolean",
        ),
    ]
}

fn vae() -> Vec<Case> {
    vec![
        key(
            "vae/config.json",
            "_class_name",
            json!("AutoencoderKL"),
            "ERROR demo/vae/config.json: unknown vae class \"AutoencoderKL\"; known: WFVAEModel",
        ),
        key(
            "vae/config.json",
            "latent_dim",
            json!(16),
            "ERROR demo/transformer has 8 latent channels, demo/vae has 16; the components do not belong together",
        ),
        key(
            "vae/config.json",
            "base_channels",
            json!(0),
            "ERROR demo/vae/config.json: unsupported config: base_channels is 0; it must be between 1 and 1048576",
        ),
        key(
            "vae/config.json",
            "base_channels",
            json!(33),
            "ERROR demo/vae/config.json: unsupported config: decoder_energy_flow_hidden_size is 32; it must be base_channels (33)",
        ),
        key(
            "vae/config.json",
            "decoder_num_resblocks",
            json!(-2),
            "ERROR demo/vae/config.json: wrong config: decoder_num_resblocks: invalid value: integer `-2`, expected usize",
        ),
        key(
            "vae/config.json",
            "norm_type",
            json!("batchnorm"),
            "ERROR demo/vae/config.json: unsupported config: norm_type is batchnorm; layernorm and groupnorm are supported",
        ),
        key(
            "vae/config.json",
            "t_interpolation",
            json!("bicubic"),
            "ERROR demo/vae/config.json: unsupported config: t_interpolation is bicubic; trilinear and nearest are supported",
        ),
        key(
            "vae/config.json",
            "connect_res_layer_num",
            json!(2),
            "ERROR vae: 20 tensors do not fit: decoder.connect_l1.1.conv1.conv.bias: missing; decoder.connect_l1.1.conv1.conv.weight: missing; decoder.connect_l1.1.conv2.conv.bias: missing; decoder.connect_l1.1.conv2.conv.weight: missing; decoder.connect_l1.1.norm1.norm.bias: missing; decoder.connect_l1.1.norm1.norm.weight: missing; decoder.connect_l1.1.norm2.norm.bias: missing; decoder.connect_l1.1.norm2.norm.weight: missing; decoder.connect_l1.2.bias: missing; decoder.connect_l1.2.weight: missing; decoder.connect_l2.1.conv1.conv.bias: missing; decoder.connect_l2.1.conv1.conv.weight: missing; decoder.connect_l2.1.conv2.conv.bias: missing; decoder.connect_l2.1.conv2.conv.weight: missing; decoder.connect_l2.1.norm1.norm.bias: missing; decoder.connect_l2.1.norm1.norm.weight: missing; decoder.connect_l2.1.norm2.norm.bias: missing; decoder.connect_l2.1.norm2.norm.weight: missing; decoder.connect_l2.2.bias: missing; decoder.connect_l2.2.weight: missing",
        ),
        key(
            "vae/config.json",
            "l1_downsample_wavelet",
            json!("Daubechies"),
            "ERROR demo/vae/config.json: unsupported config: l1_downsample_wavelet is Daubechies; only HaarWaveletTransform2D is supported",
        ),
        key(
            "vae/config.json",
            "l2_upsample_wavelet",
            json!("Daubechies"),
            "ERROR demo/vae/config.json: unsupported config: l2_upsample_wavelet is Daubechies; only InverseHaarWaveletTransform3D is supported",
        ),
        key(
            "vae/config.json",
            "scale",
            json!([1.0, 1.0]),
            "ERROR demo/vae/config.json: scale and shift have 2 values for 8 latent channels",
        ),
        key(
            "vae/config.json",
            "shift",
            json!("none"),
            "ERROR demo/vae/config.json: wrong config: shift: invalid type: string \"none\", expected a sequence",
        ),
    ]
}

fn text_encoder() -> Vec<Case> {
    vec![
        key(
            "text_encoder/config.json",
            "architectures",
            json!(["BertModel"]),
            "ERROR demo/text_encoder/config.json: unknown text encoder class \"BertModel\"; known: T5EncoderModel, MT5EncoderModel, T5ForConditionalGeneration, MT5ForConditionalGeneration",
        ),
        key(
            "text_encoder/config.json",
            "d_model",
            json!(0),
            "ERROR demo/text_encoder/config.json: unsupported config: d_model is 0; it must be between 1 and 1048576",
        ),
        key(
            "text_encoder/config.json",
            "num_layers",
            json!(0),
            "ERROR demo/text_encoder/config.json: unsupported config: num_layers is 0; it must be between 1 and 1024",
        ),
        key(
            "text_encoder/config.json",
            "feed_forward_proj",
            json!("swiglu"),
            "ERROR demo/text_encoder/config.json: unsupported config: feed_forward_proj is \"swiglu\"; gated-gelu, gated-silu, gated-relu, relu and gelu are supported",
        ),
        key(
            "text_encoder/config.json",
            "relative_attention_num_buckets",
            json!(1),
            "ERROR demo/text_encoder/config.json: unsupported config: relative_attention_num_buckets is 1; it must be a multiple of 4 up to 65536",
        ),
    ]
}

fn scheduler() -> Vec<Case> {
    vec![
        key(
            "scheduler/scheduler_config.json",
            "_class_name",
            json!("MagicScheduler"),
            "ERROR demo/scheduler/scheduler_config.json: scheduler class \"MagicScheduler\" is not supported; supported: DDIMScheduler, DDPMScheduler, PNDMScheduler, EulerDiscreteScheduler, EulerAncestralDiscreteScheduler, DPMSolverMultistepScheduler, DPMSolverSinglestepScheduler, HeunDiscreteScheduler, DEISMultistepScheduler, KDPM2AncestralDiscreteScheduler, FlowMatchEulerDiscreteScheduler",
        ),
        key(
            "scheduler/scheduler_config.json",
            "beta_schedule",
            json!("wavy"),
            "ERROR demo/scheduler/scheduler_config.json: beta_schedule is \"wavy\"; allowed: linear, scaled_linear, squaredcos_cap_v2",
        ),
        key(
            "scheduler/scheduler_config.json",
            "prediction_type",
            json!("mood"),
            "ERROR demo/scheduler/scheduler_config.json: prediction_type is \"mood\"; allowed: epsilon, v_prediction",
        ),
        key(
            "scheduler/scheduler_config.json",
            "timestep_spacing",
            json!("random"),
            "ERROR demo/scheduler/scheduler_config.json: timestep_spacing is \"random\"; allowed: linspace, leading, trailing",
        ),
        key(
            "scheduler/scheduler_config.json",
            "num_train_timesteps",
            json!(0),
            "ERROR demo/scheduler/scheduler_config.json: num_train_timesteps is 0; must be an integer from 1 to 100000",
        ),
        key(
            "scheduler/scheduler_config.json",
            "beta_end",
            json!("high"),
            "ERROR demo/scheduler/scheduler_config.json: beta_end is \"high\"; must be a number above 0 and at most 1",
        ),
    ]
}

fn generation() -> Vec<Case> {
    vec![
        key(
            "generation_config.json",
            "num_framez",
            json!(17),
            "ERROR demo/generation_config.json: wrong generation config: num_framez: unknown field `num_framez`, expected one of `num_frames`, `height`, `width`, `num_inference_steps`, `guidance_scale`, `negative_prompt`, `prompt_template`, `max_sequence_length`, `fps`",
        ),
        key(
            "generation_config.json",
            "num_frames",
            json!(16),
            "ERROR 16 frames cannot be made, only 4 n + 1 (1 is an image); nearest: 13 and 17",
        ),
        key(
            "generation_config.json",
            "num_inference_steps",
            json!(0),
            "ERROR EulerAncestralDiscreteScheduler: 0 steps; at least 1 is needed",
        ),
        key(
            "generation_config.json",
            "height",
            json!("tall"),
            "ERROR demo/generation_config.json: wrong generation config: height: invalid type: string \"tall\", expected usize",
        ),
        key(
            "generation_config.json",
            "fps",
            json!(0),
            "ERROR frames per second must be from 0.1 to 240, not 0",
        ),
        key(
            "generation_config.json",
            "prompt_template",
            json!("a film"),
            "ERROR demo/generation_config.json: prompt_template is \"a film\"; it must be null, \"open-sora-plan\" or a text with {}",
        ),
        key(
            "generation_config.json",
            "max_sequence_length",
            json!(0),
            "ERROR 0 text tokens are out of range; it must be 1 to 4096",
        ),
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
