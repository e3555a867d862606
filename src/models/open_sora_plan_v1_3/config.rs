//! The transformer's config: the authors' constructor arguments, and what of them is supported.

use serde::Deserialize;

use super::super::config::{self, ModelConfig, require};
use super::FeedForward;
use crate::nn::Regroup;

/// The transformer's config, under the names of the authors' constructor.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Heads `N`.
    pub num_attention_heads: usize,
    /// Head size `K`, a multiple of 6.
    pub attention_head_dim: usize,
    /// Channels of the noisy latent.
    pub in_channels: usize,
    /// Channels of the prediction; as many as the latent has if absent.
    pub out_channels: Option<usize>,
    /// Blocks.
    pub num_layers: usize,
    /// Width of the projected text; the model's width.
    pub cross_attention_dim: Option<usize>,
    /// Whether the q, k and v projections have a bias.
    pub attention_bias: bool,
    /// Latent frames of the training shape.
    pub sample_size_t: Option<usize>,
    /// Latent height of the training shape.
    pub sample_size_h: Option<usize>,
    /// Latent width of the training shape.
    pub sample_size_w: Option<usize>,
    /// Patch height and width.
    pub patch_size: usize,
    /// Patch length in frames; 1.
    pub patch_size_t: usize,
    /// Function of the feed-forward layers.
    pub activation_fn: String,
    /// Must be false.
    pub only_cross_attention: bool,
    /// Must be false.
    pub double_self_attention: bool,
    /// Whether the block norms have weights.
    pub norm_elementwise_affine: bool,
    /// Added to the variance in block norms.
    pub norm_eps: f32,
    /// Width of the text encoder.
    pub caption_channels: usize,
    /// Divisor of positions along frames.
    pub interpolation_scale_t: f32,
    /// Divisor of positions along height.
    pub interpolation_scale_h: f32,
    /// Divisor of positions along width.
    pub interpolation_scale_w: f32,
    /// Whether blocks 2 to 29 use Skiparse attention.
    pub sparse1d: bool,
    /// Groups of Skiparse attention.
    pub sparse_n: usize,
    /// Mask channels of the inpainting variant, which is told by [`Config::inpaint`].
    pub vae_scale_factor_t: usize,
    /// The authors' class, where the file names it.
    #[serde(rename = "_class_name")]
    pub class_name: Option<String>,
}

impl Default for Config {
    /// The authors' defaults.
    fn default() -> Self {
        Self {
            num_attention_heads: 16,
            attention_head_dim: 88,
            in_channels: 8,
            out_channels: None,
            num_layers: 1,
            cross_attention_dim: None,
            attention_bias: true,
            sample_size_t: None,
            sample_size_h: None,
            sample_size_w: None,
            patch_size: 2,
            patch_size_t: 1,
            activation_fn: "geglu".into(),
            only_cross_attention: false,
            double_self_attention: false,
            norm_elementwise_affine: false,
            norm_eps: 1e-6,
            caption_channels: 4096,
            interpolation_scale_t: 1.0,
            interpolation_scale_h: 1.0,
            interpolation_scale_w: 1.0,
            sparse1d: false,
            sparse_n: 2,
            vae_scale_factor_t: 4,
            class_name: None,
        }
    }
}

impl ModelConfig for Config {
    fn validate(&self) -> Result<(), String> {
        config::layers("num_layers", self.num_layers)?;
        config::sizes(&[
            ("num_attention_heads", self.num_attention_heads),
            ("attention_head_dim", self.attention_head_dim),
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels()),
            ("patch_size", self.patch_size),
            ("caption_channels", self.caption_channels),
            ("sparse_n", self.sparse_n),
            ("vae_scale_factor_t", self.vae_scale_factor_t),
        ])?;
        let width = self.width();
        require(
            width <= 1 << 20,
            "num_attention_heads * attention_head_dim",
            width,
            "at most 1048576 is supported",
        )?;
        require(
            self.attention_head_dim.is_multiple_of(6),
            "attention_head_dim",
            self.attention_head_dim,
            "3-D rotary embedding needs a multiple of 6",
        )?;
        let cross = self.cross_attention_dim.unwrap_or(width);
        require(
            cross == width,
            "cross_attention_dim",
            cross,
            &format!("it must be the model's width {width}"),
        )?;
        require(
            self.patch_size_t == 1,
            "patch_size_t",
            self.patch_size_t,
            "only 1 is supported",
        )?;
        require(
            self.patch_size <= 64,
            "patch_size",
            self.patch_size,
            "at most 64 is supported",
        )?;
        require(
            !self.only_cross_attention,
            "only_cross_attention",
            "true",
            "only false is supported",
        )?;
        require(
            !self.double_self_attention,
            "double_self_attention",
            "true",
            "only false is supported",
        )?;
        require(
            self.norm_eps > 0.0,
            "norm_eps",
            self.norm_eps,
            "it must be positive",
        )?;
        FeedForward::named(&self.activation_fn)?;
        require(
            self.sparse_n <= 64,
            "sparse_n",
            self.sparse_n,
            "at most 64 is supported",
        )?;
        for (key, scale) in [
            ("interpolation_scale_t", self.interpolation_scale_t),
            ("interpolation_scale_h", self.interpolation_scale_h),
            ("interpolation_scale_w", self.interpolation_scale_w),
        ] {
            require(
                scale.is_finite() && scale > 0.0,
                key,
                scale,
                "it must be positive",
            )?;
        }
        Ok(())
    }
}

impl Config {
    /// Width `D` of the residual stream.
    pub fn width(&self) -> usize {
        self.num_attention_heads * self.attention_head_dim
    }

    /// Channels of the prediction.
    pub fn out_channels(&self) -> usize {
        self.out_channels.unwrap_or(self.in_channels)
    }

    /// Whether the config belongs to the inpainting variant.
    pub fn inpaint(&self) -> bool {
        self.class_name
            .as_deref()
            .is_some_and(|name| name.starts_with("OpenSoraInpaint"))
    }

    /// The same config for the inpainting variant.
    pub fn into_inpaint(self) -> Self {
        Self {
            class_name: Some("OpenSoraInpaint_v1_3".into()),
            ..self
        }
    }

    /// How block `i` regroups its tokens: every block but the first two and those from 30 on is
    /// sparse, in turn by single and by group skips.
    pub(super) fn regroup(&self, i: usize) -> Regroup {
        match (self.sparse1d && (2..30).contains(&i), i % 2) {
            (false, _) => Regroup::Dense,
            (true, 0) => Regroup::Single(self.sparse_n),
            (true, _) => Regroup::Group(self.sparse_n),
        }
    }
}
