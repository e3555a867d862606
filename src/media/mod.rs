//! Images, video files and contact sheets: how frames leave the engine, and how images enter it.
//!
//! A [`VideoWriter`] takes one RGB frame at a time and writes the format that the path's name
//! asks for. Frames are encoded as they come, so memory does not grow with the length of a video
//! (MP4 keeps four bytes per frame, everything else nothing). The result appears under its name
//! only when [`VideoWriter::finish`] succeeds; a writer that is dropped leaves nothing behind.
//!
//! ```
//! use ascendit::media::{VideoOptions, VideoWriter};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("clip.mp4");
//! let options = VideoOptions {
//!     width: 64,
//!     height: 48,
//!     fps: 24.0,
//!     frames: Some(2),
//!     overwrite: false,
//!     metadata: serde_json::json!({"prompt": "a red ball", "seed": 7}),
//! };
//! let mut writer = VideoWriter::create(&path, &options)?;
//! writer.push(&[200; 64 * 48 * 3])?;
//! writer.push(&[100; 64 * 48 * 3])?;
//! writer.finish()?;
//! # assert!(path.exists());
//! # Ok::<(), ascendit::Error>(())
//! ```
//!
//! It does not resample in time, does not resize frames and knows nothing about models.

mod animation;
mod contact_sheet;
mod format;
mod h264;
mod image;
mod metadata;
mod mp4;
mod output;
mod pixels;
mod still;
mod writer;

pub use contact_sheet::{ContactSheet, contact_sheet};
pub use format::Format;
pub use image::{Image, check_image, read_image, write_image};
pub use output::{check_file, check_output, write_atomic, write_json_atomic};
pub use pixels::{frame_to_rgb8, to_rgb8};
pub use writer::{VideoOptions, VideoWriter};
