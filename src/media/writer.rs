//! The streaming writer of videos and images.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use serde_json::Value;

use super::animation::{ApngSink, GifSink, Y4mSink};
use super::format::{Format, FrameRate, one_frame_only, parent_folder};
use super::metadata::Metadata;
use super::mp4::Mp4Sink;
use super::output::{PendingFile, PendingFrames};
use super::still::{FramesSink, JPEG_METADATA_LIMIT, StillSink};
use crate::{Error, Result};

/// What is going to be written.
#[derive(Clone, Debug)]
pub struct VideoOptions {
    /// Width of a frame in pixels.
    pub width: usize,
    /// Height of a frame in pixels.
    pub height: usize,
    /// Frames per second, 0.1 to 240. 23.976, 29.97 and 59.94 mean the broadcast rates
    /// (24000/1001 and so on); other rates are kept to thousandths. Ignored for one image.
    pub fps: f64,
    /// Number of frames, checked at the end. APNG cannot be written without it.
    pub frames: Option<usize>,
    /// Whether an existing file may be replaced.
    pub overwrite: bool,
    /// What to store in the file: a JSON object, or `null` for nothing. It becomes the comment,
    /// as JSON, and its `prompt` the title. Y4M has no place for it.
    pub metadata: Value,
}

/// An encoder that takes frames and fills the pending file.
pub(super) trait Sink: Send {
    /// Encodes one frame `[H, W, 3]`.
    fn push(&mut self, rgb: &[u8]) -> io::Result<()>;

    /// Writes what comes after the last frame.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Writes frames to a file or folder as they come.
pub struct VideoWriter {
    // Declared first, so that its handle is closed before the temporary file is removed.
    sink: Option<Box<dyn Sink>>,
    target: Target,
    path: PathBuf,
    format: Format,
    width: usize,
    height: usize,
    expected: Option<usize>,
    written: usize,
}

enum Target {
    File(PendingFile),
    Frames(PendingFrames),
}

impl fmt::Debug for VideoWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VideoWriter")
            .field("path", &self.path)
            .field("format", &self.format)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl VideoWriter {
    /// Begins a video or image whose format the path's name tells ([`Format::from_path`]).
    ///
    /// MP4 needs even sizes of at least 16: an odd last column or row is repeated once, and
    /// frames with a side below 16 are enlarged by the least whole factor that helps.
    ///
    /// # Errors
    /// [`Error::Request`] when the format cannot hold what `options` describe, or the file exists
    /// and may not be replaced; [`Error::Io`] when the folder cannot be written to.
    pub fn create(path: &Path, options: &VideoOptions) -> Result<Self> {
        let format = Format::from_path(path)?;
        let rate = format.check(path, options)?;
        let metadata = Metadata::new(&options.metadata);
        let exif_bytes = metadata.exif().len();
        if format == Format::Jpeg && exif_bytes > JPEG_METADATA_LIMIT {
            return Err(Error::request(format!(
                "{}: {exif_bytes} bytes of metadata do not fit a JPEG, which holds \
                 {JPEG_METADATA_LIMIT}; write to .png",
                path.display()
            )));
        }
        let (sink, target) = if format == Format::Frames {
            let pending = PendingFrames::create(path, options.overwrite)?;
            let sink = FramesSink::new(&pending, options, metadata);
            (Box::new(sink) as Box<dyn Sink>, Target::Frames(pending))
        } else {
            let pending = PendingFile::create(path, options.overwrite)?;
            let sink = file_sink(&pending, path, format, options, rate, &metadata)?;
            (sink, Target::File(pending))
        };
        Ok(Self {
            sink: Some(sink),
            target,
            path: path.to_owned(),
            format,
            width: options.width,
            height: options.height,
            expected: options.frames,
            written: 0,
        })
    }

    /// Adds a frame: `[H, W, 3]` bytes, red first, sRGB.
    ///
    /// # Errors
    /// [`Error::Request`] when the frame has another size or is one too many, [`Error::Io`] when
    /// writing fails; a full disk is told by [`Error::exit_code`] 200. After an error the
    /// writer takes no more.
    pub fn push(&mut self, frame: &[u8]) -> Result<()> {
        let bytes = self.width * self.height * 3;
        if frame.len() != bytes {
            return Err(Error::request(format!(
                "{}: a frame of {}x{} has {bytes} bytes, not {}",
                self.path.display(),
                self.width,
                self.height,
                frame.len()
            )));
        }
        if self.format.is_still() && self.written == 1 {
            self.sink = None;
            return Err(one_frame_only(&self.path, "more"));
        }
        if self.expected == Some(self.written) {
            self.sink = None;
            return Err(self.wrong_count("more"));
        }
        let Some(sink) = &mut self.sink else {
            return Err(self.broken());
        };
        if let Err(error) = sink.push(frame) {
            self.sink = None;
            return Err(Error::io("write", &self.path)(error));
        }
        self.written += 1;
        Ok(())
    }

    /// Completes the output, which appears now, and gives its path.
    ///
    /// # Errors
    /// [`Error::Request`] when frames are missing or the file has come to exist meanwhile,
    /// [`Error::Io`] when writing fails. Nothing is left behind then.
    pub fn finish(mut self) -> Result<PathBuf> {
        let Some(sink) = self.sink.take() else {
            return Err(self.broken());
        };
        if self.written == 0 || self.expected.is_some_and(|n| n != self.written) {
            return Err(self.wrong_count(&self.written.to_string()));
        }
        sink.finish().map_err(Error::io("write", &self.path))?;
        match self.target {
            Target::File(pending) => pending.commit()?,
            Target::Frames(pending) => pending.commit(self.written)?,
        }
        Ok(self.path)
    }

    fn wrong_count(&self, got: &str) -> Error {
        let expected = match self.expected {
            Some(1) => "1 frame".to_owned(),
            Some(n) => format!("{n} frames"),
            None => "frames".to_owned(),
        };
        Error::request(format!(
            "{}: expected {expected}, got {got}",
            self.path.display()
        ))
    }

    fn broken(&self) -> Error {
        Error::request(format!(
            "{}: cannot go on after an error",
            self.path.display()
        ))
    }
}

fn file_sink(
    pending: &PendingFile,
    path: &Path,
    format: Format,
    options: &VideoOptions,
    rate: FrameRate,
    metadata: &Metadata,
) -> Result<Box<dyn Sink>> {
    let file = pending.handle()?;
    let sink: io::Result<Box<dyn Sink>> = match format {
        Format::Mp4 => {
            let folder = parent_folder(path);
            let spool =
                tempfile::tempfile_in(&folder).map_err(Error::io("create a file in", &folder))?;
            Mp4Sink::new(file, spool, options, rate, metadata).map(|s| Box::new(s) as _)
        }
        Format::Gif => GifSink::new(file, options, rate, metadata).map(|s| Box::new(s) as _),
        Format::Apng => ApngSink::new(file, options, rate, metadata).map(|s| Box::new(s) as _),
        Format::Y4m => Y4mSink::new(file, options, rate).map(|s| Box::new(s) as _),
        Format::Frames | Format::Png | Format::Jpeg | Format::Webp => {
            Ok(Box::new(StillSink::new(file, format, options, metadata)))
        }
    };
    sink.map_err(Error::io("write", path))
}
