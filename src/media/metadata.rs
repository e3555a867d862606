//! What is said about a video inside its file: the prompt as title, everything as JSON comment.

use serde_json::Value;

/// The texts that every format stores in its own way.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    /// The prompt, without control characters.
    pub(super) title: Option<String>,
    /// All of the metadata as compact JSON.
    pub(super) comment: Option<String>,
}

/// The program that wrote the file.
pub(super) const SOFTWARE: &str = concat!("ascendit ", env!("CARGO_PKG_VERSION"));

impl Metadata {
    /// The texts for a JSON value; `null` means none.
    pub(super) fn new(value: &Value) -> Self {
        let title = value.get("prompt").and_then(Value::as_str).map(|prompt| {
            prompt
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect()
        });
        let comment = (!value.is_null()).then(|| value.to_string());
        Self { title, comment }
    }

    /// `(keyword, text)` pairs for PNG, with the standard's keywords (PNG, 11.3.3.2).
    pub(super) fn png_texts(&self) -> Vec<(&'static str, String)> {
        let mut texts = vec![("Software", SOFTWARE.to_owned())];
        if let Some(title) = &self.title {
            texts.push(("Title", title.clone()));
        }
        if let Some(comment) = &self.comment {
            texts.push(("Comment", comment.clone()));
        }
        texts
    }

    /// An EXIF block (a TIFF header and one directory) with the comment as `ImageDescription`
    /// and `Software`.
    pub(super) fn exif(&self) -> Vec<u8> {
        const ASCII: u16 = 2;
        let mut texts = vec![(0x0131_u16, SOFTWARE)];
        if let Some(comment) = &self.comment {
            texts.insert(0, (0x010e, comment));
        }
        let mut block = b"II*\0\x08\0\0\0".to_vec();
        block.extend((texts.len() as u16).to_le_bytes());
        let mut text_offset = block.len() + 12 * texts.len() + 4;
        for (tag, text) in &texts {
            let length = text.len() + 1;
            block.extend(tag.to_le_bytes());
            block.extend(ASCII.to_le_bytes());
            block.extend((length as u32).to_le_bytes());
            block.extend((text_offset as u32).to_le_bytes());
            text_offset += length;
        }
        block.extend([0; 4]);
        for (_, text) in &texts {
            block.extend(text.as_bytes());
            block.push(0);
        }
        block
    }
}
