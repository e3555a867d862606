//! WF-VAE: a video autoencoder with wavelet-driven energy flow (Li et al. 2024, arXiv 2411.17459),
//! 4×8×8, as released with Open-Sora Plan v1.3.
//!
//! Follows PKU-YuanGroup/Open-Sora-Plan v1.3.1, `opensora/models/causalvideovae/model/`
//! (`vae/modeling_wfvae.py`, `modules/`, `utils/wavelet_utils.py`).
//!
//! # Streaming decode
//!
//! With `layernorm` no layer looks at a later frame but one: linear time upsampling turns latent
//! frames `y_0, y_1, ..` behind the first one into pairs `3/4 a + 1/4 b, 1/4 a + 3/4 b` between
//! neighbours. So a video can be decoded in chunks of any length, equal to decoding it whole: the
//! upsampling holds the last frame back until its neighbour is known, the wavelet branch that joins
//! behind it waits for one frame as well, and every causal convolution keeps its last two input
//! frames. The authors instead decode one latent frame more per chunk and throw its result away.
//! These frames are the state that goes from chunk to chunk.

mod layers;
mod wavelets;

use serde::Deserialize;

use super::config::{self, ModelConfig, require};
use super::{Chunk, VideoAutoencoder};
use layers::{GROUPS, Net, Stream, conv, conv2d, per_frame};
use wavelets::{
    haar_2d, haar_3d, haar_3d_constant, inverse_haar_2d, inverse_haar_3d, stack_filters,
};

use crate::graph::{Builder, Graph, Params, ResizeMode, Value};
use crate::tensor::DType;

/// The autoencoder's config, under the names of the authors' constructor.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Channels of the latent.
    pub latent_dim: usize,
    /// Channels of the first level.
    pub base_channels: usize,
    /// Residual blocks per level of the encoder.
    pub encoder_num_resblocks: usize,
    /// Channels of the encoder's wavelet branches.
    pub encoder_energy_flow_hidden_size: usize,
    /// Residual blocks per level of the decoder.
    pub decoder_num_resblocks: usize,
    /// Channels of the decoder's wavelet branches.
    pub decoder_energy_flow_hidden_size: usize,
    /// Whether the middle has attention within each frame.
    pub use_attention: bool,
    /// `layernorm` or `groupnorm`.
    pub norm_type: String,
    /// `trilinear` or `nearest`.
    pub t_interpolation: String,
    /// Residual blocks of the decoder's wavelet branches.
    pub connect_res_layer_num: usize,
    /// Factor of each latent channel.
    pub scale: Vec<f32>,
    /// Mean of each latent channel.
    pub shift: Vec<f32>,
    #[serde(flatten)]
    modules: Modules,
}

/// Classes that the config may name; the released ones are supported.
#[derive(Clone, Debug, Default, Deserialize)]
struct Modules {
    l1_dowmsample_block: Option<String>,
    l1_downsample_wavelet: Option<String>,
    l2_dowmsample_block: Option<String>,
    l2_downsample_wavelet: Option<String>,
    l1_upsample_block: Option<String>,
    l1_upsample_wavelet: Option<String>,
    l2_upsample_block: Option<String>,
    l2_upsample_wavelet: Option<String>,
}

impl Default for Config {
    /// The authors' defaults.
    fn default() -> Self {
        Self {
            latent_dim: 8,
            base_channels: 128,
            encoder_num_resblocks: 2,
            encoder_energy_flow_hidden_size: 64,
            decoder_num_resblocks: 2,
            decoder_energy_flow_hidden_size: 128,
            use_attention: true,
            norm_type: "groupnorm".into(),
            t_interpolation: "nearest".into(),
            connect_res_layer_num: 1,
            scale: vec![0.18215; 8],
            shift: vec![0.0; 8],
            modules: Modules::default(),
        }
    }
}

impl ModelConfig for Config {
    fn validate(&self) -> Result<(), String> {
        config::sizes(&[
            ("latent_dim", self.latent_dim),
            ("base_channels", self.base_channels),
            (
                "encoder_energy_flow_hidden_size",
                self.encoder_energy_flow_hidden_size,
            ),
            (
                "decoder_energy_flow_hidden_size",
                self.decoder_energy_flow_hidden_size,
            ),
        ])?;
        for (key, count) in [
            ("encoder_num_resblocks", self.encoder_num_resblocks),
            ("decoder_num_resblocks", self.decoder_num_resblocks),
        ] {
            require(
                (1..=64).contains(&count),
                key,
                count,
                "it must be between 1 and 64",
            )?;
        }
        require(
            self.base_channels <= 1 << 14,
            "base_channels",
            self.base_channels,
            "at most 16384 is supported",
        )?;
        require(
            self.decoder_energy_flow_hidden_size == self.base_channels,
            "decoder_energy_flow_hidden_size",
            self.decoder_energy_flow_hidden_size,
            &format!("it must be base_channels ({})", self.base_channels),
        )?;
        let norm = self.norm_type.as_str();
        require(
            matches!(norm, "layernorm" | "groupnorm"),
            "norm_type",
            norm,
            "layernorm and groupnorm are supported",
        )?;
        let channels = [self.base_channels, self.encoder_energy_flow_hidden_size];
        if norm == "groupnorm" && channels.iter().any(|c| c % GROUPS != 0) {
            return Err(format!(
                "norm_type is groupnorm; it needs channels in multiples of {GROUPS}, got {channels:?}"
            ));
        }
        let time = self.t_interpolation.as_str();
        require(
            matches!(time, "trilinear" | "nearest"),
            "t_interpolation",
            time,
            "trilinear and nearest are supported",
        )?;
        let m = &self.modules;
        for (key, value, supported) in [
            ("l1_dowmsample_block", &m.l1_dowmsample_block, "Downsample"),
            (
                "l1_downsample_wavelet",
                &m.l1_downsample_wavelet,
                "HaarWaveletTransform2D",
            ),
            (
                "l2_dowmsample_block",
                &m.l2_dowmsample_block,
                "Spatial2xTime2x3DDownsample",
            ),
            (
                "l2_downsample_wavelet",
                &m.l2_downsample_wavelet,
                "HaarWaveletTransform3D",
            ),
            ("l1_upsample_block", &m.l1_upsample_block, "Upsample"),
            (
                "l1_upsample_wavelet",
                &m.l1_upsample_wavelet,
                "InverseHaarWaveletTransform2D",
            ),
            (
                "l2_upsample_block",
                &m.l2_upsample_block,
                "Spatial2xTime2x3DUpsample",
            ),
            (
                "l2_upsample_wavelet",
                &m.l2_upsample_wavelet,
                "InverseHaarWaveletTransform3D",
            ),
        ] {
            if let Some(value) = value {
                require(
                    value == supported,
                    key,
                    value,
                    &format!("only {supported} is supported"),
                )?;
            }
        }
        let zero = self.scale.iter().any(|s| *s == 0.0 || !s.is_finite());
        require(
            !zero,
            "scale",
            format!("{:?}", self.scale),
            "its values must not be zero",
        )
    }
}

impl Config {
    fn linear_time(&self) -> bool {
        self.t_interpolation == "trilinear"
    }
}

impl VideoAutoencoder for Config {
    fn latent_channels(&self) -> usize {
        self.latent_dim
    }

    fn factors(&self) -> [usize; 3] {
        [4, 8, 8]
    }

    fn normalisation(&self) -> Vec<(f32, f32)> {
        self.scale
            .iter()
            .copied()
            .zip(self.shift.iter().copied())
            .take(self.latent_dim)
            .collect()
    }

    fn unused_by_decoder(&self) -> &'static [&'static str] {
        &["encoder.*", "loss.*"]
    }

    fn streams(&self) -> bool {
        self.norm_type == "layernorm"
    }

    fn decoder(&self, chunk: Chunk, height: usize, width: usize, compute: DType) -> Graph {
        decoder(self, chunk, [1, height, width], compute)
    }
}

/// The encoder as a graph: `video [B, 3, T, H, W] f32` in [-1, 1], `T = 4 n + 1`, height and width
/// multiples of 8 → `mean` and `logvar`, each `[B, latent, n + 1, H/8, W/8] f32`.
pub fn encoder(
    config: &Config,
    [batch, frames, height, width]: [usize; 4],
    compute: DType,
) -> Graph {
    let g = Builder::new(compute);
    let p = Params::new(&g).at("encoder");
    let net = Net {
        config,
        state: None,
    };
    let (base, flow) = (config.base_channels, config.encoder_energy_flow_hidden_size);
    let video = g.input("video", DType::F32, [batch, 3, frames, height, width]);

    let (coefficients, l1, l2) = g.scope("wavelets", || {
        let filters = haar_3d_constant(&g);
        let coefficients = haar_3d(video.cast(compute), filters);
        let l1 = haar_2d(
            coefficients.slice(1, 0, 3),
            stack_filters(
                &p.at("wavelet_tranform_l1"),
                ["aa", "ad", "da", "dd"],
                &[1, 1, 2, 2],
            ),
        );
        let names = ["h", "g", "hh", "gh", "h_v", "g_v", "hh_v", "gh_v"]
            .map(|name| format!("{name}_conv.conv.weight"));
        let filters = stack_filters(
            &p.at("wavelet_tranform_l2"),
            names.each_ref().map(String::as_str),
            &[1, 1, 2, 2, 2],
        );
        let l2 = haar_3d(l1.slice(1, 0, 3), filters);
        (
            coefficients,
            conv2d(&p.at("connect_l1"), l1, flow),
            conv2d(&p.at("connect_l2"), l2, flow),
        )
    });
    let h = g.scope("down1", || {
        let p = p.at("down1");
        let mut h = conv2d(&p.at(0), coefficients, base);
        for i in 0..config.encoder_num_resblocks {
            h = net.resblock_2d(&p.at(1 + i), h);
        }
        let p = p.at(1 + config.encoder_num_resblocks).at("conv");
        per_frame(h, |h| conv(&p, h, base, [3, 3], [2, 2], [(0, 1), (0, 1)]))
    });
    let h = g.scope("down2", || {
        let p = p.at("down2");
        let mut h = conv2d(&p.at(0), g.concat(&[h, l1], 1), 2 * base);
        for i in 0..config.encoder_num_resblocks {
            h = net.resblock(&p.at(1 + i), h, 2 * base);
        }
        let p = p.at(1 + config.encoder_num_resblocks).at("conv");
        net.causal_conv(&p, h, 2 * base, 3, [2, 2, 2], [(0, 1), (0, 1)])
    });
    let (mean, logvar) = g.scope("mid", || {
        let h = net.mid(&p.at("mid"), g.concat(&[h, l2], 1), 4 * base, 4 * base);
        let h = net.norm(&p.at("norm_out"), h).silu();
        let moments = net.causal_conv(
            &p.at("conv_out"),
            h,
            2 * config.latent_dim,
            3,
            [1; 3],
            [(1, 1); 2],
        );
        let [mean, logvar] = moments.cast(DType::F32).chunk(1);
        (mean, logvar)
    });
    g.finish([("mean", mean), ("logvar", logvar)])
}

/// The decoder for one chunk as a graph: `latent [B, latent, t, H/8, W/8] f32` and the state of the
/// chunk before it → `video [B, 3, T, H, W] f32` (about [-1, 1], not clamped) and the state for the
/// next chunk. A chunk that is first has at least two frames unless it is also the last.
pub fn decoder(
    config: &Config,
    chunk: Chunk,
    [batch, height, width]: [usize; 3],
    compute: DType,
) -> Graph {
    let g = Builder::new(compute);
    let p = Params::new(&g).at("decoder");
    let stream = std::cell::RefCell::new(Stream {
        chunk,
        kept: vec![],
        asked: 0,
    });
    let net = Net {
        config,
        state: Some(&stream),
    };
    let (base, flow) = (config.base_channels, config.decoder_energy_flow_hidden_size);
    let latent = g.input(
        "latent",
        DType::F32,
        [batch, config.latent_dim, chunk.frames, height, width],
    );

    let h = g.scope("mid", || {
        let h = net.causal_conv(
            &p.at("conv_in"),
            latent.cast(compute),
            4 * base,
            3,
            [1; 3],
            [(1, 1); 2],
        );
        net.mid(&p.at("mid"), h, 4 * base, 4 * base + flow)
    });
    let l2 = g.scope("connect_l2", || {
        let coefficients = net.connect(&p.at("connect_l2"), h.slice(1, 4 * base, flow), 24);
        let names = ["h", "g", "hh", "gh", "h_v", "g_v", "hh_v", "gh_v"];
        let filters = stack_filters(
            &p.at("inverse_wavelet_tranform_l2"),
            names,
            &[1, 1, 2, 2, 2],
        );
        let frames = inverse_haar_3d(coefficients, filters, chunk.first);
        match config.linear_time() {
            true => net.hold_back_one_frame(frames),
            false => frames,
        }
    });
    let h = g.scope("up2", || {
        let p = p.at("up2");
        let mut h = h.slice(1, 0, 4 * base);
        for i in 0..config.decoder_num_resblocks {
            h = net.resblock(&p.at(i), h, 4 * base);
        }
        let n = config.decoder_num_resblocks;
        let h = net.upsample_time(h).resize(ResizeMode::Linear, &[1, 2, 2]);
        let h = net.causal_conv(&p.at(n).at("conv"), h, 4 * base, 3, [1; 3], [(1, 1); 2]);
        net.resblock(&p.at(n + 1), h, 4 * base + flow)
    });
    let l1 = g.scope("connect_l1", || {
        let coefficients = net.connect(&p.at("connect_l1"), h.slice(1, 4 * base, flow), 12);
        let filters = stack_filters(
            &p.at("inverse_wavelet_tranform_l1"),
            ["aa", "ad", "da", "dd"],
            &[1, 1, 2, 2],
        );
        inverse_haar_2d(add_to_low_band(coefficients, l2), filters)
    });
    let h = g.scope("up1", || {
        let p = p.at("up1");
        let mut h = h.slice(1, 0, 4 * base);
        for i in 0..config.decoder_num_resblocks {
            h = net.resblock(&p.at(i), h, 2 * base);
        }
        let n = config.decoder_num_resblocks;
        let up = p.at(n).at("conv");
        let h = per_frame(h, |h| {
            let h = h.resize(ResizeMode::Nearest, &[2, 2]);
            conv(&up, h, 2 * base, [3, 3], [1, 1], [(1, 1), (1, 1)])
        });
        net.resblock(&p.at(n + 1), h, 2 * base)
    });
    let video = g.scope("layer", || {
        let h = net.resblock(&p.at("layer").at(0), h, base);
        let h = net.resblock(&p.at("layer").at(1), h, base);
        let h = conv2d(&p.at("conv_out"), net.norm(&p.at("norm_out"), h).silu(), 24);
        inverse_haar_3d(add_to_low_band(h, l1), haar_3d_constant(&g), chunk.first).cast(DType::F32)
    });
    let mut outputs = vec![("video".to_owned(), video)];
    outputs.extend(
        stream
            .into_inner()
            .kept
            .into_iter()
            .enumerate()
            .map(|(i, v)| (format!("state.{i}"), v)),
    );
    g.finish(outputs)
}

/// `coefficients` with `low` added to the first three channels.
fn add_to_low_band<'g>(coefficients: Value<'g>, low: Value<'g>) -> Value<'g> {
    let rest = coefficients.slice(1, 3, coefficients.dim(1) - 3);
    coefficients
        .builder()
        .concat(&[coefficients.slice(1, 0, 3) + low, rest], 1)
}
