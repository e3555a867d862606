//! Which format a path asks for, and what each format can hold.

use std::path::{Path, PathBuf};

use super::writer::VideoOptions;
use crate::{Error, Result};

/// What can be written, as said when a name asks for something else.
const SUPPORTED: &str = "write to .mp4, .gif, .apng, .y4m or a folder of PNG frames (out/ or \
     out/frame-%04d.png), or one frame to .png, .jpg, .jpeg or .webp";

/// The largest frame that the H.264 encoder takes, long side first.
const H264_LIMIT: (usize, usize) = (3840, 2160);

/// A file format, told from the name of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// H.264 in MP4 (`.mp4`): constrained baseline, 4:2:0, BT.709 limited range.
    Mp4,
    /// Animated GIF (`.gif`): 256 colours chosen for each frame, no dithering.
    Gif,
    /// Animated PNG (`.apng`), lossless.
    Apng,
    /// Raw video (`.y4m`): 4:4:4, BT.601 full range, so that RGB comes back within 2 of 255.
    Y4m,
    /// A folder of PNG files, lossless: `out/`, an existing folder, or `out/frame-%04d.png`.
    Frames,
    /// One PNG image (`.png`), lossless.
    Png,
    /// One JPEG image (`.jpg`, `.jpeg`), quality 95, no chroma subsampling.
    Jpeg,
    /// One WebP image (`.webp`), lossless.
    Webp,
}

impl Format {
    /// The format that a path's name asks for.
    ///
    /// A path that ends in `/`, an existing folder, and a PNG name with a frame number such as
    /// `frame-%04d.png` are [`Format::Frames`]; otherwise the extension decides, in any case.
    ///
    /// # Errors
    /// [`Error::Request`] that lists what is supported.
    pub fn from_path(path: &Path) -> Result<Self> {
        if ends_in_separator(path) {
            return Ok(Self::Frames);
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let extension = path
            .extension()
            .map(|e| e.to_string_lossy().to_ascii_lowercase());
        let format = match extension.as_deref() {
            Some("png") if name.contains('%') => Self::Frames,
            Some("mp4") => Self::Mp4,
            Some("gif") => Self::Gif,
            Some("apng") => Self::Apng,
            Some("y4m") => Self::Y4m,
            Some("png") => Self::Png,
            Some("jpg" | "jpeg") => Self::Jpeg,
            Some("webp") => Self::Webp,
            _ if path.is_dir() => Self::Frames,
            Some(other) => {
                return Err(Error::request(format!(
                    "{}: unknown extension .{other}; {SUPPORTED}",
                    path.display()
                )));
            }
            None => {
                return Err(Error::request(format!(
                    "{}: no extension tells the format; {SUPPORTED}",
                    path.display()
                )));
            }
        };
        Ok(format)
    }

    /// Whether the format holds one frame only.
    pub fn is_still(self) -> bool {
        matches!(self, Self::Png | Self::Jpeg | Self::Webp)
    }

    /// The format's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mp4 => "MP4",
            Self::Gif => "GIF",
            Self::Apng => "APNG",
            Self::Y4m => "Y4M",
            Self::Frames | Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::Webp => "WebP",
        }
    }

    /// Checks that the format can hold what is going to be written.
    pub(super) fn check(self, path: &Path, options: &VideoOptions) -> Result<FrameRate> {
        let (width, height) = (options.width, options.height);
        let refuse = |what: String| Err(Error::request(format!("{}: {what}", path.display())));
        let pixels = width.checked_mul(height).and_then(|n| n.checked_mul(3));
        if width == 0 || height == 0 || pixels.is_none() {
            return refuse(format!("a frame cannot be {width}x{height}"));
        }
        let rate = FrameRate::new(options.fps)?;
        match options.frames {
            Some(0) => return refuse("there is no video of 0 frames".into()),
            Some(n) if n > 1 && self.is_still() => {
                return Err(one_frame_only(path, &n.to_string()));
            }
            None if self == Self::Apng => {
                return refuse("an APNG needs to know the number of frames first".into());
            }
            _ => {}
        }
        let (long, short) = (width.max(height), width.min(height));
        let limit = match self {
            Self::Mp4 if long > H264_LIMIT.0 || short > H264_LIMIT.1 => "3840x2160 or 2160x3840",
            Self::Gif | Self::Jpeg if long > 65535 => "65535x65535",
            Self::Webp if long > 16383 => "16383x16383",
            Self::Apng | Self::Frames | Self::Png if long > i32::MAX as usize => {
                "2147483647x2147483647"
            }
            _ => "",
        };
        if !limit.is_empty() {
            return refuse(format!(
                "frames of {width}x{height} are too large for {}, which holds at most {limit}; \
                 write to .y4m or a folder of PNG frames",
                self.name()
            ));
        }
        if self == Self::Gif && options.fps > 50.0 {
            return refuse(format!(
                "viewers slow down a GIF of {} frames per second; use at most 50, or .mp4",
                options.fps
            ));
        }
        Ok(rate)
    }
}

/// The error for a video that goes into a format for one image.
pub(super) fn one_frame_only(path: &Path, count: &str) -> Error {
    let with = |extension: &str| path.with_extension(extension).display().to_string();
    Error::request(format!(
        "{}: the format holds one frame, not {count}; write to {}, {} or the folder {}/",
        path.display(),
        with("mp4"),
        with("apng"),
        with("")
    ))
}

fn ends_in_separator(path: &Path) -> bool {
    let last = path.as_os_str().as_encoded_bytes().last();
    last.is_some_and(|&b| std::path::is_separator(char::from(b)))
}

/// Frames per second as a fraction, so that a file's times are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameRate {
    /// Frames in [`FrameRate::seconds`].
    pub(super) frames: u32,
    /// Whole seconds that [`FrameRate::frames`] take.
    pub(super) seconds: u32,
}

impl FrameRate {
    /// The fraction for a decimal number: the broadcast rates 23.976, 29.97, 59.94 and their
    /// like are `n * 1000 / 1001`, everything else is rounded to thousandths.
    pub(super) fn new(fps: f64) -> Result<Self> {
        if !(0.1..=240.0).contains(&fps) {
            return Err(Error::request(format!(
                "frames per second must be from 0.1 to 240, not {fps}"
            )));
        }
        let whole = fps.ceil();
        let broadcast = whole * 1000.0 / 1001.0;
        let (frames, seconds) = if whole >= 24.0 && (fps - broadcast).abs() < 6e-4 {
            (whole as u32 * 1000, 1001)
        } else {
            ((fps * 1000.0).round() as u32, 1000)
        };
        let divisor = gcd(frames, seconds);
        Ok(Self {
            frames: frames / divisor,
            seconds: seconds / divisor,
        })
    }

    /// When frame `index` begins, in units of `1 / units` seconds, rounded to nearest.
    pub(super) fn start(self, index: u64, units: u64) -> u64 {
        let (frames, seconds) = (u64::from(self.frames), u64::from(self.seconds));
        (index * seconds * units + frames / 2) / frames
    }

    /// Frames per second.
    pub(super) fn hz(self) -> f64 {
        f64::from(self.frames) / f64::from(self.seconds)
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// The folder and the names of PNG frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FrameNames {
    /// The folder that the frames go to.
    pub(super) folder: PathBuf,
    prefix: String,
    digits: usize,
    suffix: String,
}

impl FrameNames {
    /// Names for a path of [`Format::Frames`]: `frame-0000.png` and so on in a folder, or the
    /// pattern's own; numbers begin at 0.
    pub(super) fn new(path: &Path) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if ends_in_separator(path) || path.is_dir() || !name.contains('%') {
            return Ok(Self {
                folder: path.to_owned(),
                prefix: "frame-".into(),
                digits: 4,
                suffix: ".png".into(),
            });
        }
        let pattern = name
            .split_once('%')
            .and_then(|(prefix, rest)| Some((prefix, rest.split_once('d')?)))
            .filter(|(_, (_, suffix))| !suffix.contains('%'))
            .and_then(|(prefix, (digits, suffix))| Some((prefix, digits_of(digits)?, suffix)));
        let Some((prefix, digits, suffix)) = pattern else {
            return Err(Error::request(format!(
                "{}: expected one frame number such as %04d in the name, as in frame-%04d.png",
                path.display()
            )));
        };
        Ok(Self {
            folder: parent_folder(path),
            prefix: prefix.into(),
            digits,
            suffix: suffix.into(),
        })
    }

    /// The name of one frame.
    pub(super) fn name(&self, index: usize) -> String {
        let (prefix, digits, suffix) = (&self.prefix, self.digits, &self.suffix);
        format!("{prefix}{index:0digits$}{suffix}")
    }

    /// Whether a file name is one that [`FrameNames::name`] gives.
    pub(super) fn matches(&self, name: &str) -> bool {
        name.strip_prefix(&self.prefix)
            .and_then(|rest| rest.strip_suffix(&self.suffix))
            .and_then(|number| number.parse().ok())
            .is_some_and(|index| self.name(index) == name)
    }
}

/// The number of digits in `04` of `%04d`, or 1 for `%d`.
fn digits_of(text: &str) -> Option<usize> {
    if text.is_empty() {
        return Some(1);
    }
    let digits = text.strip_prefix('0')?.parse().ok()?;
    (1..=9).contains(&digits).then_some(digits)
}

/// The folder that a path lies in; `.` for a bare name.
pub(super) fn parent_folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) => parent.to_owned(),
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(fps: f64) -> (u32, u32) {
        let rate = FrameRate::new(fps).unwrap();
        (rate.frames, rate.seconds)
    }

    #[test]
    fn frame_rates_are_exact_fractions() {
        assert_eq!(rate(8.0), (8, 1));
        assert_eq!(rate(12.5), (25, 2));
        assert_eq!(rate(23.976), (24000, 1001));
        assert_eq!(rate(24000.0 / 1001.0), (24000, 1001));
        assert_eq!(rate(29.97), (30000, 1001));
        assert_eq!(rate(59.94), (60000, 1001));
        assert_eq!(rate(23.98), (1199, 50));
        assert_eq!(rate(0.1), (1, 10));
    }

    #[test]
    fn frame_rates_out_of_range_are_refused() {
        for fps in [0.0, -1.0, f64::NAN, f64::INFINITY, 241.0] {
            let message = FrameRate::new(fps).unwrap_err().to_string();
            assert_eq!(
                message,
                format!("frames per second must be from 0.1 to 240, not {fps}")
            );
        }
    }

    #[test]
    fn frame_names_follow_the_pattern() {
        let names = FrameNames::new(Path::new("out/shot_%03d-x.png")).unwrap();
        assert_eq!(names.folder, Path::new("out"));
        assert_eq!(names.name(7), "shot_007-x.png");
        assert_eq!(names.name(1234), "shot_1234-x.png");
        assert!(names.matches("shot_007-x.png"));
        assert!(!names.matches("shot_7-x.png"));
        assert!(!names.matches("shot_007.png"));
        let names = FrameNames::new(Path::new("%d.png")).unwrap();
        assert_eq!(names.folder, Path::new("."));
        assert_eq!(names.name(12), "12.png");
    }
}
