//! Images in memory: reading them from files that nobody vouches for, and writing them.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use serde_json::Value;

use super::format::Format;
use super::writer::{VideoOptions, VideoWriter};
use crate::{Error, Result};

/// The longest side that is read.
const SIDE_LIMIT: u32 = 16_384;

/// The most memory that a decoded image may take.
const DECODED_BYTES_LIMIT: u64 = 512 << 20;

/// The longest file that is read.
const FILE_BYTES_LIMIT: u64 = 256 << 20;

/// An RGB image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// `[height, width, 3]`, red first.
    pub rgb: Vec<u8>,
}

/// Reads a PNG, JPEG or WebP image, whatever its name.
///
/// The orientation that a camera noted is applied. Transparency is dropped, 16-bit samples are
/// rounded to 8, and of an animation the first frame is taken. Images of more than 16,384 pixels
/// a side or 512 MiB decoded are refused before they are decoded.
///
/// # Errors
/// [`Error::Io`] when the file cannot be opened, [`Error::File`] when it is not such an image.
pub fn read_image(path: &Path) -> Result<Image> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let about = file.metadata().map_err(Error::io("open", path))?;
    if !about.is_file() {
        return Err(Error::file(path, "is not a file"));
    }
    if about.len() > FILE_BYTES_LIMIT {
        return Err(Error::file(
            path,
            format!(
                "has {} bytes; images of at most {FILE_BYTES_LIMIT} are read",
                about.len()
            ),
        ));
    }
    let reader = ImageReader::new(BufReader::new(file))
        .with_guessed_format()
        .map_err(Error::io("read", path))?;
    let name = match reader.format() {
        Some(ImageFormat::Png) => "PNG",
        Some(ImageFormat::Jpeg) => "JPEG",
        Some(ImageFormat::WebP) => "WebP",
        _ => return Err(Error::file(path, "is not a PNG, JPEG or WebP image")),
    };
    decode(reader).map_err(|failure| match failure {
        Failure::TooLarge(width, height) => Error::file(
            path,
            format!(
                "is {width}x{height}; images of at most {SIDE_LIMIT} pixels a side and {} MiB \
                 decoded are read",
                DECODED_BYTES_LIMIT >> 20
            ),
        ),
        Failure::Broken(error) => Error::file(path, format!("is not a whole {name}: {error}")),
    })
}

enum Failure {
    TooLarge(u32, u32),
    Broken(image::ImageError),
}

impl From<image::ImageError> for Failure {
    fn from(error: image::ImageError) -> Self {
        Self::Broken(error)
    }
}

fn decode(mut reader: ImageReader<BufReader<File>>) -> Result<Image, Failure> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODED_BYTES_LIMIT);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder()?;
    let (width, height) = decoder.dimensions();
    if width.max(height) > SIDE_LIMIT || decoder.total_bytes() > DECODED_BYTES_LIMIT {
        return Err(Failure::TooLarge(width, height));
    }
    decoder.set_limits(limits)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut decoded = DynamicImage::from_decoder(decoder)?;
    decoded.apply_orientation(orientation);
    let rgb = decoded.into_rgb8();
    Ok(Image {
        width: rgb.width() as usize,
        height: rgb.height() as usize,
        rgb: rgb.into_raw(),
    })
}

/// Checks before any work that an image can be written: as
/// [`check_output`](super::check_output), and the format is one for images.
///
/// # Errors
/// As [`check_output`](super::check_output).
pub fn check_image(path: &Path, overwrite: bool) -> Result<()> {
    require_still(path)?;
    super::check_output(path, overwrite)
}

fn require_still(path: &Path) -> Result<()> {
    if Format::from_path(path)?.is_still() {
        return Ok(());
    }
    Err(Error::request(format!(
        "{}: write an image to .png, .jpg, .jpeg or .webp",
        path.display()
    )))
}

/// Writes an image to `.png`, `.jpg`, `.jpeg` or `.webp`; `metadata` as in [`VideoOptions`].
///
/// # Errors
/// As [`VideoWriter`].
pub fn write_image(
    path: &Path,
    image: &Image,
    metadata: &Value,
    overwrite: bool,
) -> Result<PathBuf> {
    require_still(path)?;
    let options = VideoOptions {
        width: image.width,
        height: image.height,
        fps: 1.0,
        frames: Some(1),
        overwrite,
        metadata: metadata.clone(),
    };
    let mut writer = VideoWriter::create(path, &options)?;
    writer.push(&image.rgb)?;
    writer.finish()
}
