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
//! These frames are [`Stream`]'s state.

use serde::Deserialize;

use super::config::{self, ModelConfig, require};
use super::{Chunk, VideoAutoencoder};
use crate::graph::{Builder, Graph, Params, ResizeMode, Value};
use crate::nn;
use crate::tensor::{DType, HostTensor};

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
            ("connect_res_layer_num", self.connect_res_layer_num),
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
        for (key, values) in [("scale", &self.scale), ("shift", &self.shift)] {
            let default = values.len() == 8 && self.latent_dim < 8;
            require(
                values.len() == self.latent_dim || default,
                key,
                format!("{} values", values.len()),
                &format!("it needs one per latent channel ({})", self.latent_dim),
            )?;
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

    fn streams(&self) -> bool {
        self.norm_type == "layernorm"
    }

    fn decoder(&self, chunk: Chunk, height: usize, width: usize, compute: DType) -> Graph {
        decoder(self, chunk, height, width, compute)
    }
}

/// Groups of `groupnorm`.
const GROUPS: usize = 32;

/// Factor of the outermost wavelet transforms, which have no weights in checkpoints: the authors'
/// rounding of `1 / (2 √2)`.
const HAAR: f32 = 0.3536;

/// Signs of the eight 2×2×2 Haar filters in the authors' order, by `t, h, w` of the tap.
const SIGNS: [[f32; 8]; 8] = [
    [1., 1., 1., 1., 1., 1., 1., 1.],
    [1., -1., 1., -1., 1., -1., 1., -1.],
    [1., 1., -1., -1., 1., 1., -1., -1.],
    [1., -1., -1., 1., 1., -1., -1., 1.],
    [1., 1., 1., 1., -1., -1., -1., -1.],
    [1., -1., 1., -1., -1., 1., -1., 1.],
    [1., 1., -1., -1., -1., -1., 1., 1.],
    [1., -1., -1., 1., -1., 1., 1., -1.],
];

/// The encoder as a graph: `video [1, 3, T, H, W] f32` in [-1, 1], `T = 4 n + 1`, height and width
/// multiples of 8 → `mean` and `logvar`, each `[1, latent, n + 1, H/8, W/8] f32`.
pub fn encoder(
    config: &Config,
    frames: usize,
    height: usize,
    width: usize,
    compute: DType,
) -> Graph {
    let g = Builder::new(compute);
    let p = Params::new(&g).at("encoder");
    let net = Net {
        config,
        state: None,
    };
    let (base, flow) = (config.base_channels, config.encoder_energy_flow_hidden_size);
    let video = g.input("video", DType::F32, [1, 3, frames, height, width]);

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

/// The decoder for one chunk as a graph: `latent [1, latent, t, H/8, W/8] f32` and the state of the
/// chunk before it → `video [1, 3, T, H, W] f32` (about [-1, 1], not clamped) and the state for the
/// next chunk. A chunk that is first has at least two frames unless it is also the last.
pub fn decoder(
    config: &Config,
    chunk: Chunk,
    height: usize,
    width: usize,
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
        [1, config.latent_dim, chunk.frames, height, width],
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

/// The state of a decoder that works in chunks: values go in from the chunk before and come out for
/// the next one in the order in which the layers ask for them.
struct Stream<'g> {
    chunk: Chunk,
    kept: Vec<Value<'g>>,
    asked: usize,
}

/// Layers over the config's norm, and over the stream's state where there is one.
struct Net<'a, 'g> {
    config: &'a Config,
    state: Option<&'a std::cell::RefCell<Stream<'g>>>,
}

impl<'g> Net<'_, 'g> {
    /// Whether the video begins and whether it ends with what is worked on.
    fn place(&self) -> (bool, bool) {
        self.state.map_or((true, true), |state| {
            (state.borrow().chunk.first, state.borrow().chunk.last)
        })
    }

    /// What the chunk before kept here, of the shape of `like` with `frames` frames.
    fn before(&self, like: Value<'g>, frames: usize) -> Option<Value<'g>> {
        let state = self.state.filter(|_| !self.place().0)?;
        let mut shape = like.shape();
        shape[2] = frames;
        let name = format!("state.{}", state.borrow().asked);
        state.borrow_mut().asked += 1;
        Some(like.builder().input(&name, like.dtype(), shape))
    }

    /// Keeps a value for the next chunk.
    fn keep(&self, value: Value<'g>) {
        if let (Some(state), (_, false)) = (self.state, self.place()) {
            state.borrow_mut().kept.push(value);
        }
    }

    /// `CausalConv3d` with a cubic kernel.
    fn causal_conv(
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

    fn norm(&self, p: &Params<'g>, x: Value<'g>) -> Value<'g> {
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
    fn resblock(&self, p: &Params<'g>, x: Value<'g>, out: usize) -> Value<'g> {
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
    fn resblock_2d(&self, p: &Params<'g>, x: Value<'g>) -> Value<'g> {
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
    fn mid(&self, p: &Params<'g>, x: Value<'g>, inner: usize, out: usize) -> Value<'g> {
        let h = self.resblock(&p.at(0), x, inner);
        match self.config.use_attention {
            true => self.resblock(&p.at(2), self.attention(&p.at(1), h), out),
            false => self.resblock(&p.at(1), h, out),
        }
    }

    /// `AttnBlock3DFix`: one head over all pixels of a frame.
    fn attention(&self, p: &Params<'g>, x: Value<'g>) -> Value<'g> {
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
    fn connect(&self, p: &Params<'g>, x: Value<'g>, coefficients: usize) -> Value<'g> {
        let n = self.config.connect_res_layer_num;
        let h = (0..n).fold(x, |h, i| self.resblock(&p.at(i), h, x.dim(1)));
        conv2d(&p.at(n), h, coefficients)
    }

    /// The frames that wait from the chunk before and all of these but the last, which waits for the
    /// next chunk unless there is none.
    fn hold_back_one_frame(&self, x: Value<'g>) -> Value<'g> {
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
    fn upsample_time(&self, x: Value<'g>) -> Value<'g> {
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
fn interleave<'g>(a: Value<'g>, b: Value<'g>) -> Value<'g> {
    let s = a.shape();
    let column = |v: Value<'g>| v.reshape([s[0], s[1], s[2], 1, s[3] * s[4]]);
    a.builder()
        .concat(&[column(a), column(b)], 3)
        .reshape([s[0], s[1], 2 * s[2], s[3], s[4]])
}

/// A two-dimensional layer over `[B, C, T, H, W]`, frame by frame.
fn per_frame<'g>(x: Value<'g>, layer: impl FnOnce(Value<'g>) -> Value<'g>) -> Value<'g> {
    let s = x.shape();
    let frames = x
        .permute([0, 2, 1, 3, 4])
        .reshape([s[0] * s[2], s[1], s[3], s[4]]);
    let y = layer(frames);
    y.reshape([s[0], s[2], y.dim(1), y.dim(2), y.dim(3)])
        .permute([0, 2, 1, 3, 4])
}

fn conv<'g>(
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
fn conv2d<'g>(p: &Params<'g>, x: Value<'g>, out: usize) -> Value<'g> {
    per_frame(x, |x| conv(p, x, out, [3, 3], [1, 1], [(1, 1), (1, 1)]))
}

/// `coefficients` with `low` added to the first three channels.
fn add_to_low_band<'g>(coefficients: Value<'g>, low: Value<'g>) -> Value<'g> {
    let rest = coefficients.slice(1, 3, coefficients.dim(1) - 3);
    coefficients
        .builder()
        .concat(&[coefficients.slice(1, 0, 3) + low, rest], 1)
}

/// The checkpoint's wavelet filters as `[filters, taps]`.
fn stack_filters<'g, const N: usize>(
    p: &Params<'g>,
    names: [&str; N],
    shape: &[usize],
) -> Value<'g> {
    let filters = names.map(|name| p.weight(name, shape).reshape([1, N]));
    p.builder().concat(&filters, 0)
}

/// The three-dimensional Haar filters of the outermost transforms, `[filters, taps]`.
fn haar_3d_constant(g: &Builder) -> Value<'_> {
    g.constant(HostTensor::f32(
        [8, 8],
        SIGNS.iter().flatten().map(|sign| sign * HAAR).collect(),
    ))
    .cast(g.compute_dtype())
}

/// Causal Haar transform `[B, C, 2 n - 1, H, W]` → `[B, 8 C, n, H/2, W/2]`: the first frame is
/// repeated in front, then every 2×2×2 block becomes eight coefficients, filter slowest.
fn haar_3d<'g>(x: Value<'g>, filters: Value<'g>) -> Value<'g> {
    let x = x.builder().concat(&[x.slice(2, 0, 1), x], 2);
    let (b, c, t, h, w) = (x.dim(0), x.dim(1), x.dim(2) / 2, x.dim(3) / 2, x.dim(4) / 2);
    x.reshape([b * c, t, 2, h, 2, w, 2])
        .permute([0, 1, 3, 5, 2, 4, 6])
        .reshape([b, c, t, h, w, 8])
        .linear(filters, None)
        .permute([0, 5, 1, 2, 3, 4])
        .reshape([b, 8 * c, t, h, w])
}

/// Inverse of [`haar_3d`] by the same filters; the frame that was repeated in front is dropped where
/// the video begins.
fn inverse_haar_3d<'g>(x: Value<'g>, filters: Value<'g>, first: bool) -> Value<'g> {
    let (b, c, t, h, w) = (x.dim(0), x.dim(1) / 8, x.dim(2), x.dim(3), x.dim(4));
    let video = x
        .reshape([b, 8, c, t, h, w])
        .permute([0, 2, 3, 4, 5, 1])
        .linear(filters.permute([1, 0]), None)
        .reshape([b * c, t, h, w, 2, 2, 2])
        .permute([0, 1, 4, 2, 5, 3, 6])
        .reshape([b, c, 2 * t, 2 * h, 2 * w]);
    let skipped = usize::from(first);
    video.slice(2, skipped, 2 * t - skipped)
}

/// Haar transform of each frame, `[B, C, T, H, W]` → `[B, 4 C, T, H/2, W/2]`, filter slowest.
fn haar_2d<'g>(x: Value<'g>, filters: Value<'g>) -> Value<'g> {
    let (b, c, t, h, w) = (x.dim(0), x.dim(1), x.dim(2), x.dim(3) / 2, x.dim(4) / 2);
    x.reshape([b, c, t, h, 2, w, 2])
        .permute([0, 1, 2, 3, 5, 4, 6])
        .reshape([b, c, t, h, w, 4])
        .linear(filters, None)
        .permute([0, 5, 1, 2, 3, 4])
        .reshape([b, 4 * c, t, h, w])
}

/// Inverse of [`haar_2d`] by the same filters.
fn inverse_haar_2d<'g>(x: Value<'g>, filters: Value<'g>) -> Value<'g> {
    let (b, c, t, h, w) = (x.dim(0), x.dim(1) / 4, x.dim(2), x.dim(3), x.dim(4));
    x.reshape([b, 4, c, t, h, w])
        .permute([0, 2, 3, 4, 5, 1])
        .linear(filters.permute([1, 0]), None)
        .reshape([b, c, t, h, w, 2, 2])
        .permute([0, 1, 2, 3, 5, 4, 6])
        .reshape([b, c, t, 2 * h, 2 * w])
}
