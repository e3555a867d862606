//! Conversions of pixels: the decoder's floats to RGB, and RGB to the two kinds of YUV that the
//! writers use.

/// One frame `[3, H, W]` with values in `[-1, 1]` → `[H, W, 3]` bytes.
///
/// The formula is the authors': `(255 * clamp(v / 2 + 0.5, 0, 1))` truncated (Open-Sora Plan,
/// `pipeline_opensora.py`, `decode_latents`). A value that is not a number becomes 0.
///
/// # Panics
/// If the number of values is not a multiple of 3.
pub fn to_rgb8(frame: &[f32]) -> Vec<u8> {
    assert!(
        frame.len().is_multiple_of(3),
        "a frame [3, H, W] cannot have {} values",
        frame.len()
    );
    let plane = frame.len() / 3;
    frame_to_rgb8([
        &frame[..plane],
        &frame[plane..2 * plane],
        &frame[2 * plane..],
    ])
}

/// As [`to_rgb8`], from the three planes `[H, W]` of one frame, which in `[3, T, H, W]` do not
/// lie next to each other.
///
/// # Panics
/// If the planes differ in length.
pub fn frame_to_rgb8(planes: [&[f32]; 3]) -> Vec<u8> {
    let [red, green, blue] = planes;
    assert!(
        red.len() == green.len() && red.len() == blue.len(),
        "the planes of a frame have {}, {} and {} values",
        red.len(),
        green.len(),
        blue.len()
    );
    let byte = |v: f32| (255.0 * (v / 2.0 + 0.5).clamp(0.0, 1.0)) as u8;
    let mut rgb = Vec::with_capacity(3 * red.len());
    for ((&r, &g), &b) in red.iter().zip(green).zip(blue) {
        rgb.extend([byte(r), byte(g), byte(b)]);
    }
    rgb
}

/// A frame as one luma and two chroma planes.
#[derive(Clone, Debug, Default)]
pub(super) struct Yuv {
    /// Luma, `[height, width]`.
    pub(super) y: Vec<u8>,
    /// Blue difference.
    pub(super) u: Vec<u8>,
    /// Red difference.
    pub(super) v: Vec<u8>,
    /// Width of the luma plane.
    pub(super) width: usize,
    /// Height of the luma plane.
    pub(super) height: usize,
}

/// Weights of red and blue in luma: ITU-R BT.709, table 3 and BT.601, table 1.
const BT709: (f32, f32) = (0.2126, 0.0722);
const BT601: (f32, f32) = (0.299, 0.114);

/// `Y` in `[0, 255]`, `Cb` and `Cr` in `[-127.5, 127.5]` for red, green and blue in `[0, 255]`.
fn luma_chroma([r, g, b]: [f32; 3], (kr, kb): (f32, f32)) -> (f32, f32, f32) {
    let y = kr * r + (1.0 - kr - kb) * g + kb * b;
    (y, (b - y) / (2.0 - 2.0 * kb), (r - y) / (2.0 - 2.0 * kr))
}

fn round(v: f32) -> u8 {
    (v + 0.5) as u8
}

impl Yuv {
    /// 4:4:4 in BT.601 full range (as in JPEG) from `[height, width, 3]`.
    pub(super) fn set_full_444(&mut self, rgb: &[u8], width: usize, height: usize) {
        (self.width, self.height) = (width, height);
        for plane in [&mut self.y, &mut self.u, &mut self.v] {
            plane.clear();
        }
        for pixel in rgb.chunks_exact(3) {
            let (y, cb, cr) = luma_chroma([0, 1, 2].map(|i| f32::from(pixel[i])), BT601);
            self.y.push(round(y));
            self.u.push(round(cb + 128.0));
            self.v.push(round(cr + 128.0));
        }
    }

    /// 4:2:0 in BT.709 limited range from `[height, width, 3]`.
    ///
    /// Each pixel is repeated `scale` times each way, and an odd last column or row once more.
    /// Chroma lies on the left luma column and between two rows, which is what H.264 means when
    /// nothing is said (H.264, E.2.1 and figure E-1).
    pub(super) fn set_limited_420(
        &mut self,
        rgb: &[u8],
        width: usize,
        height: usize,
        scale: usize,
    ) {
        self.width = (width * scale).next_multiple_of(2);
        self.height = (height * scale).next_multiple_of(2);
        let pixel = |x: usize, y: usize| {
            let at = 3 * ((y / scale).min(height - 1) * width + (x / scale).min(width - 1));
            [rgb[at], rgb[at + 1], rgb[at + 2]].map(f32::from)
        };
        for plane in [&mut self.y, &mut self.u, &mut self.v] {
            plane.clear();
        }
        for y in 0..self.height {
            for x in 0..self.width {
                let (luma, _, _) = luma_chroma(pixel(x, y), BT709);
                self.y.push(round(16.0 + 219.0 / 255.0 * luma));
            }
        }
        for y in (0..self.height).step_by(2) {
            for x in (0..self.width).step_by(2) {
                let mut mean = [0.0; 3];
                for (row, column, weight) in [
                    (y, x.saturating_sub(1), 0.125),
                    (y, x, 0.25),
                    (y, x + 1, 0.125),
                    (y + 1, x.saturating_sub(1), 0.125),
                    (y + 1, x, 0.25),
                    (y + 1, x + 1, 0.125),
                ] {
                    for (sum, value) in mean.iter_mut().zip(pixel(column, row)) {
                        *sum += weight * value;
                    }
                }
                let (_, cb, cr) = luma_chroma(mean, BT709);
                self.u.push(round(128.0 + 224.0 / 255.0 * cb));
                self.v.push(round(128.0 + 224.0 / 255.0 * cr));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_become_bytes_by_truncation() {
        let red = [-1.0, 1.0, 0.0, -2.0, 5.0, f32::NAN];
        let green = [0.999; 6];
        let blue = [-0.5; 6];
        let rgb = frame_to_rgb8([&red, &green, &blue]);
        let reds: Vec<u8> = rgb.chunks(3).map(|p| p[0]).collect();
        assert_eq!(reds, [0, 255, 127, 0, 255, 0]);
        assert!(rgb.chunks(3).all(|p| p[1] == 254 && p[2] == 63));
        let planar: Vec<f32> = [red, green, blue].concat();
        assert_eq!(to_rgb8(&planar), rgb);
    }

    #[test]
    fn limited_range_has_the_standard_extremes() {
        let mut yuv = Yuv::default();
        let colours = [
            ([255, 255, 255], (235, 128, 128)),
            ([0, 0, 0], (16, 128, 128)),
            ([255, 0, 0], (63, 102, 240)),
            ([0, 255, 0], (173, 42, 26)),
            ([0, 0, 255], (32, 240, 118)),
        ];
        for (rgb, (y, u, v)) in colours {
            yuv.set_limited_420(&rgb.repeat(3 * 5), 3, 5, 1);
            assert_eq!((yuv.width, yuv.height), (4, 6));
            assert_eq!(yuv.y, vec![y; 24], "{rgb:?}");
            assert_eq!((&yuv.u, &yuv.v), (&vec![u; 6], &vec![v; 6]), "{rgb:?}");
        }
    }
}
