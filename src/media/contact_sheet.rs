//! Contact sheets: some frames of a video side by side in one image.

use super::image::Image;

/// Pixels of white between frames.
const GAP: usize = 2;

/// Collects evenly spaced frames of a video as they come; memory holds only those.
#[derive(Clone, Debug)]
pub struct ContactSheet {
    width: usize,
    height: usize,
    columns: usize,
    wanted: Vec<usize>,
    next: usize,
    kept: Vec<Vec<u8>>,
}

impl ContactSheet {
    /// A sheet of `keep` of the `total` frames of a video, first and last among them, in
    /// `columns` columns (at least one). Frames are `[height, width, 3]`.
    pub fn new(width: usize, height: usize, total: usize, keep: usize, columns: usize) -> Self {
        let keep = keep.min(total);
        let wanted = (0..keep)
            .map(|i| (i * (total - 1) + (keep - 1) / 2) / (keep - 1).max(1))
            .collect();
        Self {
            width,
            height,
            columns: columns.max(1),
            wanted,
            next: 0,
            kept: Vec::with_capacity(keep),
        }
    }

    /// Looks at the next frame and keeps it if it is one of those wanted.
    ///
    /// # Panics
    /// If the frame has another size.
    pub fn push(&mut self, frame: &[u8]) {
        let bytes = self.width * self.height * 3;
        assert_eq!(frame.len(), bytes, "the frame has another size");
        if self.wanted.get(self.kept.len()) == Some(&self.next) {
            self.kept.push(frame.to_vec());
        }
        self.next += 1;
    }

    /// The sheet, row by row from the top left, on white; `None` when no frame was kept.
    pub fn finish(self) -> Option<Image> {
        let columns = self.columns.min(self.kept.len());
        if columns == 0 {
            return None;
        }
        let rows = self.kept.len().div_ceil(columns);
        let width = columns * (self.width + GAP) - GAP;
        let height = rows * (self.height + GAP) - GAP;
        let mut rgb = vec![255; width * height * 3];
        for (i, frame) in self.kept.iter().enumerate() {
            let left = i % columns * (self.width + GAP);
            let top = i / columns * (self.height + GAP);
            for (y, row) in frame.chunks_exact(3 * self.width).enumerate() {
                let at = 3 * ((top + y) * width + left);
                rgb[at..at + row.len()].copy_from_slice(row);
            }
        }
        Some(Image { width, height, rgb })
    }
}

/// All of `frames`, each `[height, width, 3]`, in one image; `None` when there are none.
///
/// # Panics
/// If a frame has another size.
pub fn contact_sheet(
    frames: &[Vec<u8>],
    width: usize,
    height: usize,
    columns: usize,
) -> Option<Image> {
    let mut sheet = ContactSheet::new(width, height, frames.len(), frames.len(), columns);
    for frame in frames {
        sheet.push(frame);
    }
    sheet.finish()
}
