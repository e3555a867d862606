//! Single images: PNG, JPEG and WebP, and folders of PNG frames.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder, ImageError};

use super::animation::png_encoder;
use super::format::{Format, FrameNames};
use super::metadata::Metadata;
use super::output::PendingFrames;
use super::writer::{Sink, VideoOptions};

/// Bytes of EXIF that fit a JPEG segment beside its length and name.
pub(super) const JPEG_METADATA_LIMIT: usize = 65_527;

const JPEG_QUALITY: u8 = 95;

/// One image to one file.
pub(super) struct StillSink<W> {
    out: W,
    format: Format,
    width: u32,
    height: u32,
    metadata: Metadata,
}

impl<W: Write> StillSink<W> {
    pub(super) fn new(out: W, format: Format, options: &VideoOptions, metadata: &Metadata) -> Self {
        Self {
            out,
            format,
            width: options.width as u32,
            height: options.height as u32,
            metadata: metadata.clone(),
        }
    }
}

impl<W: Write + Send> Sink for StillSink<W> {
    fn push(&mut self, rgb: &[u8]) -> io::Result<()> {
        let (width, height) = (self.width, self.height);
        let mut out = BufWriter::new(&mut self.out);
        match self.format {
            Format::Jpeg => {
                let mut encoder = JpegEncoder::new_with_quality(&mut out, JPEG_QUALITY);
                encoder
                    .set_exif_metadata(self.metadata.exif())
                    .map_err(io::Error::other)?;
                encoder
                    .write_image(rgb, width, height, ExtendedColorType::Rgb8)
                    .map_err(image_error)?;
            }
            Format::Webp => {
                let mut encoder = WebPEncoder::new_lossless(&mut out);
                encoder
                    .set_exif_metadata(self.metadata.exif())
                    .map_err(io::Error::other)?;
                encoder
                    .write_image(rgb, width, height, ExtendedColorType::Rgb8)
                    .map_err(image_error)?;
            }
            _ => write_png(&mut out, rgb, width, height, &self.metadata)?,
        }
        out.flush()
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

/// Frames to one PNG file each.
pub(super) struct FramesSink {
    stage: PathBuf,
    names: FrameNames,
    next: usize,
    width: u32,
    height: u32,
    metadata: Metadata,
}

impl FramesSink {
    pub(super) fn new(pending: &PendingFrames, options: &VideoOptions, metadata: Metadata) -> Self {
        Self {
            stage: pending.stage().to_owned(),
            names: pending.names().clone(),
            next: 0,
            width: options.width as u32,
            height: options.height as u32,
            metadata,
        }
    }
}

impl Sink for FramesSink {
    fn push(&mut self, rgb: &[u8]) -> io::Result<()> {
        let file = File::create(self.stage.join(self.names.name(self.next)))?;
        let mut out = BufWriter::new(file);
        write_png(&mut out, rgb, self.width, self.height, &self.metadata)?;
        out.into_inner()?.sync_all()?;
        self.next += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

fn write_png(
    out: &mut impl Write,
    rgb: &[u8],
    width: u32,
    height: u32,
    metadata: &Metadata,
) -> io::Result<()> {
    let mut writer = png_encoder(out, width, height, metadata)
        .and_then(png::Encoder::write_header)
        .map_err(super::animation::png_error)?;
    writer
        .write_image_data(rgb)
        .map_err(super::animation::png_error)?;
    writer.finish().map_err(super::animation::png_error)
}

/// The operating system's error inside an encoder's, so that a full disk is known as one.
fn image_error(error: ImageError) -> io::Error {
    match error {
        ImageError::IoError(error) => error,
        other => io::Error::other(other),
    }
}
