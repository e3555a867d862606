//! GIF, animated PNG and Y4M.

use std::io::{self, BufWriter, Write};

use super::format::FrameRate;
use super::metadata::Metadata;
use super::pixels::Yuv;
use super::writer::{Sink, VideoOptions};

/// Pixels that the palette of a GIF frame is learned from; more only takes longer.
const PALETTE_SAMPLES: usize = 60_000;

/// An animated GIF that repeats for ever.
///
/// Delays are hundredths of a second; each frame begins at its own rounded time, so rounding does
/// not add up.
pub(super) struct GifSink<W: Write> {
    encoder: gif::Encoder<BufWriter<W>>,
    width: u16,
    height: u16,
    rate: FrameRate,
    next: u64,
}

impl<W: Write> GifSink<W> {
    pub(super) fn new(
        out: W,
        options: &VideoOptions,
        rate: FrameRate,
        metadata: &Metadata,
    ) -> io::Result<Self> {
        let (width, height) = (options.width as u16, options.height as u16);
        let mut encoder =
            gif::Encoder::new(BufWriter::new(out), width, height, &[]).map_err(gif_error)?;
        encoder
            .set_repeat(gif::Repeat::Infinite)
            .map_err(gif_error)?;
        if let Some(comment) = &metadata.comment {
            let kind = gif::AnyExtension(gif::Extension::Comment as u8);
            encoder
                .write_raw_extension(kind, &[comment.as_bytes()])
                .map_err(gif_error)?;
        }
        Ok(Self {
            encoder,
            width,
            height,
            rate,
            next: 0,
        })
    }
}

impl<W: Write + Send> Sink for GifSink<W> {
    fn push(&mut self, rgb: &[u8]) -> io::Result<()> {
        let speed = (rgb.len() / 3 / PALETTE_SAMPLES).clamp(1, 10) as i32;
        let mut frame = gif::Frame::from_rgb_speed(self.width, self.height, rgb, speed);
        let delay = self.rate.start(self.next + 1, 100) - self.rate.start(self.next, 100);
        frame.delay = u16::try_from(delay).unwrap_or(u16::MAX);
        self.next += 1;
        self.encoder.write_frame(&frame).map_err(gif_error)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.encoder.into_inner().map_err(gif_error)?.flush()
    }
}

/// An animated PNG that repeats for ever.
pub(super) struct ApngSink<W: Write> {
    writer: png::Writer<BufWriter<W>>,
}

impl<W: Write> ApngSink<W> {
    pub(super) fn new(
        out: W,
        options: &VideoOptions,
        rate: FrameRate,
        metadata: &Metadata,
    ) -> io::Result<Self> {
        let frames = u32::try_from(options.frames.unwrap_or(0)).map_err(io::Error::other)?;
        let (mut hertz, mut seconds) = (rate.frames, rate.seconds);
        // The fraction's parts are 16 bits wide; the rates that need more lose under 0.1 %.
        while hertz > u32::from(u16::MAX) {
            (hertz, seconds) = (hertz.div_ceil(2), seconds.div_ceil(2));
        }
        let writer = png_encoder(
            BufWriter::new(out),
            options.width as u32,
            options.height as u32,
            metadata,
        )
        .and_then(|mut encoder| {
            encoder.set_animated(frames, 0)?;
            encoder.set_frame_delay(seconds as u16, hertz as u16)?;
            encoder.write_header()
        })
        .map_err(png_error)?;
        Ok(Self { writer })
    }
}

impl<W: Write + Send> Sink for ApngSink<W> {
    fn push(&mut self, rgb: &[u8]) -> io::Result<()> {
        self.writer.write_image_data(rgb).map_err(png_error)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.writer.finish().map_err(png_error)
    }
}

/// A PNG encoder for RGB with the metadata as text chunks.
pub(super) fn png_encoder<W: Write>(
    out: W,
    width: u32,
    height: u32,
    metadata: &Metadata,
) -> Result<png::Encoder<'static, W>, png::EncodingError> {
    let mut encoder = png::Encoder::new(out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    for (keyword, text) in metadata.png_texts() {
        encoder.add_itxt_chunk(keyword.to_owned(), text)?;
    }
    Ok(encoder)
}

/// Raw video, 4:4:4, BT.601 full range.
pub(super) struct Y4mSink<W: Write> {
    encoder: y4m::Encoder<W>,
    width: usize,
    height: usize,
    yuv: Yuv,
}

impl<W: Write> Y4mSink<W> {
    pub(super) fn new(out: W, options: &VideoOptions, rate: FrameRate) -> io::Result<Self> {
        let (width, height) = (options.width, options.height);
        let ratio = y4m::Ratio::new(rate.frames as usize, rate.seconds as usize);
        let range = y4m::VendorExtensionString::new(b"COLORRANGE=FULL".to_vec())
            .map_err(io::Error::other)?;
        let encoder = y4m::encode(width, height, ratio)
            .with_colorspace(y4m::Colorspace::C444)
            .append_vendor_extension(range)
            .write_header(out)
            .map_err(y4m_error)?;
        Ok(Self {
            encoder,
            width,
            height,
            yuv: Yuv::default(),
        })
    }
}

impl<W: Write + Send> Sink for Y4mSink<W> {
    fn push(&mut self, rgb: &[u8]) -> io::Result<()> {
        self.yuv.set_full_444(rgb, self.width, self.height);
        let planes = [&self.yuv.y[..], &self.yuv.u, &self.yuv.v];
        self.encoder
            .write_frame(&y4m::Frame::new(planes, None))
            .map_err(y4m_error)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

// The operating system's error is taken out of the encoders' own, so that a full disk is known
// as one.

fn gif_error(error: gif::EncodingError) -> io::Error {
    match error {
        gif::EncodingError::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// The operating system's error inside the PNG encoder's.
pub(super) fn png_error(error: png::EncodingError) -> io::Error {
    match error {
        png::EncodingError::IoError(error) => error,
        other => io::Error::other(other),
    }
}

fn y4m_error(error: y4m::Error) -> io::Error {
    match error {
        y4m::Error::IoError(error) => error,
        other => io::Error::other(other),
    }
}
