//! H.264 through OpenH264: frames in, NAL units out.
//!
//! Every frame has the same quantiser, so quality does not depend on the size, length or rate of
//! the video. The stream is constrained baseline without B frames: what browsers, phones and
//! editors all decode.

use std::io;

use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate as Hertz, FrameType, IntraFramePeriod,
    Profile, QpRange, RateControlMode, VuiConfig,
};
use openh264::formats::YUVSlices;
use openh264_sys2::{ENCODER_OPTION_TRACE_LEVEL, WELS_LOG_QUIET};

use super::format::FrameRate;
use super::pixels::Yuv;

/// The quantiser of every block: 18 is visually lossless for most content.
const QUANTISER: u8 = 18;

/// The smallest side that the encoder takes.
const SMALLEST_SIDE: usize = 16;

const NAL_SPS: u8 = 7;
const NAL_PPS: u8 = 8;

/// Encodes RGB frames of one size.
pub(super) struct H264 {
    encoder: Encoder,
    width: usize,
    height: usize,
    yuv: Yuv,
    /// Sequence parameter set, known after the first frame.
    pub(super) sps: Vec<u8>,
    /// Picture parameter set, known after the first frame.
    pub(super) pps: Vec<u8>,
}

impl H264 {
    /// An encoder for frames `[height, width, 3]`.
    pub(super) fn new(width: usize, height: usize, rate: FrameRate) -> io::Result<Self> {
        // Only the level is derived from the bit rate, as the quantiser is fixed; a bit per pixel
        // is what it takes at most on ordinary content.
        let bits = (width * height) as f64 * rate.hz();
        let config = EncoderConfig::new()
            .profile(Profile::Baseline)
            .rate_control_mode(RateControlMode::Quality)
            .qp(QpRange::new(QUANTISER, QUANTISER))
            .bitrate(BitRate::from_bps(bits.clamp(64_000.0, 240_000_000.0) as u32))
            .max_frame_rate(Hertz::from_hz(rate.hz().clamp(1.0, 60.0) as f32))
            .skip_frames(false)
            .adaptive_quantization(false)
            .background_detection(false)
            .complexity(Complexity::High)
            .intra_frame_period(IntraFramePeriod::from_num_frames(
                (2.0 * rate.hz()).ceil() as u32
            ))
            .num_threads(1)
            .vui(VuiConfig::bt709());
        let mut encoder = Encoder::with_api_config(OpenH264API::from_source(), config)
            .map_err(io::Error::other)?;
        silence(&mut encoder)?;
        Ok(Self {
            encoder,
            width,
            height,
            yuv: Yuv::default(),
            sps: Vec::new(),
            pps: Vec::new(),
        })
    }

    /// Encodes one frame; its NAL units, each after its length in four bytes, are appended to
    /// `sample`. Tells whether decoding can begin at this frame.
    pub(super) fn encode(&mut self, rgb: &[u8], sample: &mut Vec<u8>) -> io::Result<bool> {
        let scale = SMALLEST_SIDE.div_ceil(self.width.min(self.height));
        self.yuv
            .set_limited_420(rgb, self.width, self.height, scale);
        let (width, height) = (self.yuv.width, self.yuv.height);
        let planes = (&self.yuv.y[..], &self.yuv.u[..], &self.yuv.v[..]);
        let source = YUVSlices::new(planes, (width, height), (width, width / 2, width / 2));
        let stream = self.encoder.encode(&source).map_err(io::Error::other)?;
        let before = sample.len();
        for layer in (0..stream.num_layers()).filter_map(|i| stream.layer(i)) {
            for unit in (0..layer.nal_count()).filter_map(|i| layer.nal_unit(i)) {
                let unit = without_start_code(unit);
                match unit.first().map(|header| header & 0x1f) {
                    Some(NAL_SPS) => self.sps = unit.to_vec(),
                    Some(NAL_PPS) => self.pps = unit.to_vec(),
                    _ => {
                        sample.extend((unit.len() as u32).to_be_bytes());
                        sample.extend(unit);
                    }
                }
            }
        }
        if sample.len() == before {
            return Err(io::Error::other("the H.264 encoder gave no picture"));
        }
        Ok(stream.frame_type() == FrameType::IDR)
    }
}

/// Has the library write nothing to stderr. The crate asks for that only after the library has
/// checked the settings, and by then it has written about the bit rate that a fixed quantiser does
/// not keep to. Its errors come back as results.
fn silence(encoder: &mut Encoder) -> io::Result<()> {
    let mut level = WELS_LOG_QUIET;
    // SAFETY: the option is one that may be set before anything else; it is read as one int.
    let status = unsafe {
        encoder
            .raw_api()
            .set_option(ENCODER_OPTION_TRACE_LEVEL, (&raw mut level).cast())
    };
    match status {
        0 => Ok(()),
        code => Err(io::Error::other(format!(
            "the H.264 encoder cannot be set up ({code})"
        ))),
    }
}

/// A NAL unit without the `00 00 01` or `00 00 00 01` before it (H.264, B.1.1).
fn without_start_code(unit: &[u8]) -> &[u8] {
    let zeros = unit.iter().take_while(|&&b| b == 0).count();
    unit.get(zeros + 1..).unwrap_or_default()
}
