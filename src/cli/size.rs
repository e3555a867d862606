//! `--size HEIGHTxWIDTH`.

use std::str::FromStr;

/// Height and width in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) height: usize,
    pub(super) width: usize,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once(['x', 'X', '×']);
        let read = |part: &str| part.parse::<usize>().ok().filter(|n| *n > 0);
        parts
            .and_then(|(height, width)| {
                Some(Self {
                    height: read(height)?,
                    width: read(width)?,
                })
            })
            .ok_or_else(|| "expected HEIGHTxWIDTH in pixels, such as 480x832".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_height_by_width() {
        assert_eq!(
            "480x832".parse(),
            Ok(Size {
                height: 480,
                width: 832
            })
        );
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in [
            "", "480", "480x", "x832", "0x64", "-1x64", "64x64x64", "64.5x64",
        ] {
            let expected = "expected HEIGHTxWIDTH in pixels, such as 480x832".to_owned();
            assert_eq!(text.parse::<Size>(), Err(expected), "{text}");
        }
    }
}
