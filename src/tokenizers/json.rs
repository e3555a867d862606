//! Reads a `tokenizer.json` of the `tokenizers` library, as far as T5 and mT5 use the format:
//! a unigram model; a normaliser of a character map, stripping and merging of spaces; the
//! `Metaspace` pre-tokeniser, with or without `WhitespaceSplit` before it; a post-processor that
//! appends the end-of-sequence token. Anything else is an error that names it.

use base64::Engine;
use serde::Deserialize;
use serde_json::Value;

use super::charsmap::Charsmap;
use super::settings::RawAddedToken;
use super::unigram::{ScoredPiece, checked_unknown_id};
use super::words::{Prefix, SPACE_MARK, Step, Words};

/// Most steps of a normaliser.
const MAX_STEPS: usize = 8;

/// Longest text that a run of spaces may become.
const MAX_MERGED_BYTES: usize = 16;

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct File {
    #[serde(default)]
    added_tokens: Vec<RawAddedToken>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    post_processor: Option<Value>,
    model: Model,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Model {
    unk_id: Option<i64>,
    #[serde(default)]
    vocab: Vec<ScoredPiece>,
    #[serde(default)]
    byte_fallback: bool,
}

/// What is read first, because other models have other forms of vocabulary.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Kind {
    model: ModelKind,
}

#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct ModelKind {
    #[serde(rename = "type")]
    kind: Option<String>,
}

/// What a `tokenizer.json` says.
pub(super) struct Json {
    /// All pieces; their places are their ids.
    pub(super) pieces: Vec<ScoredPiece>,
    /// The id of unknown text.
    pub(super) unknown_id: u32,
    /// Whether unknown text becomes its bytes where there are pieces for them.
    pub(super) byte_fallback: bool,
    /// Added tokens, in order.
    pub(super) added: Vec<RawAddedToken>,
    /// How text becomes words.
    pub(super) words: Words,
    /// The token that is appended to a prompt.
    pub(super) eos: String,
}

impl Json {
    /// Reads the bytes of the file; the error says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let not_json = |error| format!("it is not a tokenizer.json ({error})");
        let kind: Kind = serde_json::from_slice(bytes).map_err(not_json)?;
        let kind = kind.model.kind.as_deref().unwrap_or("without a type");
        if kind != "Unigram" {
            return Err(format!(
                "its model type is {kind}, but T5 and mT5 have a unigram model"
            ));
        }
        let file: File = serde_json::from_slice(bytes).map_err(not_json)?;
        let pieces = file.model.vocab;
        let mut steps = Vec::new();
        if let Some(normalizer) = &file.normalizer {
            push_steps(normalizer, &mut steps)?;
        }
        if steps.len() > MAX_STEPS {
            return Err(format!(
                "its normalizer has {} steps, more than {MAX_STEPS}",
                steps.len()
            ));
        }
        let unknown_id = file
            .model
            .unk_id
            .ok_or("its model has no `unk_id`, the id of unknown text")?;
        Ok(Self {
            unknown_id: checked_unknown_id(unknown_id, pieces.len())?,
            pieces,
            byte_fallback: file.model.byte_fallback,
            added: file.added_tokens,
            words: words(&file.pre_tokenizer.unwrap_or_default(), steps)?,
            eos: appended_token(&file.post_processor.unwrap_or_default())?,
        })
    }
}

fn kind(component: &Value) -> &str {
    component["type"].as_str().unwrap_or("without a type")
}

fn unsupported(what: &str, component: &Value) -> String {
    format!("its {what} is {}, which is not supported", kind(component))
}

fn push_steps(normalizer: &Value, steps: &mut Vec<Step>) -> Result<(), String> {
    match kind(normalizer) {
        "Sequence" => {
            for part in normalizer["normalizers"].as_array().into_iter().flatten() {
                push_steps(part, steps)?;
            }
        }
        "Precompiled" => {
            if steps.iter().any(|step| matches!(step, Step::Charsmap(_))) {
                return Err("its normalizer has more than one Precompiled step".into());
            }
            let text = normalizer["precompiled_charsmap"].as_str().unwrap_or("");
            let blob = base64::engine::general_purpose::STANDARD
                .decode(text)
                .map_err(|_| "its table of normalisation rules is not base64")?;
            steps.push(Step::Charsmap(Charsmap::parse(&blob)?));
        }
        "Strip" => steps.push(Step::Strip {
            left: normalizer["strip_left"] == true,
            right: normalizer["strip_right"] == true,
        }),
        "Replace" => {
            let content = normalizer["content"].as_str();
            match (normalizer["pattern"]["Regex"].as_str(), content) {
                (Some(" {2,}"), Some(content)) if content.len() <= MAX_MERGED_BYTES => {
                    steps.push(Step::MergeSpaces(content.to_owned()));
                }
                _ => {
                    return Err(format!(
                        "its normalizer replaces {}, which is not supported",
                        normalizer["pattern"]
                    ));
                }
            }
        }
        _ => return Err(unsupported("normalizer", normalizer)),
    }
    Ok(())
}

fn words(pre_tokenizer: &Value, steps: Vec<Step>) -> Result<Words, String> {
    let parts = match pre_tokenizer["pretokenizers"].as_array() {
        Some(parts) if kind(pre_tokenizer) == "Sequence" => parts.as_slice(),
        _ => std::slice::from_ref(pre_tokenizer),
    };
    let kinds: Vec<&str> = parts.iter().map(kind).collect();
    let (split_whitespace, metaspace) = match (kinds.as_slice(), parts) {
        (["Metaspace"], [metaspace]) => (false, metaspace),
        (["WhitespaceSplit", "Metaspace"], [_, metaspace]) => (true, metaspace),
        _ => {
            return Err(format!(
                "its pre_tokenizer is {}, which is not supported",
                kinds.join(" and ")
            ));
        }
    };
    let mut mark = metaspace["replacement"].as_str().unwrap_or("▁").chars();
    let prefix = match (
        metaspace["prepend_scheme"].as_str(),
        metaspace["add_prefix_space"].as_bool(),
    ) {
        (Some("never"), _) | (None, Some(false)) => Prefix::Never,
        (Some("first"), _) => Prefix::First,
        (Some("always") | None, _) => Prefix::Always,
        (Some(other), _) => {
            return Err(format!(
                "its pre_tokenizer has the prepend_scheme {other:?}, which is not supported"
            ));
        }
    };
    Ok(Words {
        steps,
        split_whitespace,
        mark: mark.next().unwrap_or(SPACE_MARK),
        prefix,
        split_marks: metaspace["split"] != false,
    })
}

/// The special token behind the text in a `TemplateProcessing` of the form `$A </s>`.
fn appended_token(post_processor: &Value) -> Result<String, String> {
    if kind(post_processor) != "TemplateProcessing" {
        return Err(unsupported("post_processor", post_processor));
    }
    let single = post_processor["single"].as_array().map(Vec::as_slice);
    match single {
        Some([text, token]) if text.get("Sequence").is_some() => {
            token["SpecialToken"]["id"].as_str().map(str::to_owned)
        }
        _ => None,
    }
    .ok_or_else(|| "its post_processor does not append one token to a text, as T5's does".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file() -> Value {
        json!({
            "added_tokens": [],
            "normalizer": null,
            "pre_tokenizer": {"type": "Metaspace", "replacement": "▁"},
            "post_processor": {
                "type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "</s>"}}],
            },
            "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["</s>", -1]]},
        })
    }

    fn error(change: impl FnOnce(&mut Value)) -> String {
        let mut file = file();
        change(&mut file);
        let parsed = Json::parse(file.to_string().as_bytes());
        parsed.err().expect("the change makes it unusable")
    }

    #[test]
    fn a_plain_file_is_read() {
        let json = Json::parse(file().to_string().as_bytes()).ok().unwrap();
        assert_eq!(json.pieces, [("<unk>".into(), 0.0), ("</s>".into(), -1.0)]);
        assert_eq!(json.eos, "</s>");
        assert_eq!(json.words.prefix, Prefix::Always);
    }

    #[test]
    fn what_is_not_supported_is_named() {
        assert_eq!(
            error(|f| f["model"] = json!({"type": "BPE", "vocab": {"a": 1}})),
            "its model type is BPE, but T5 and mT5 have a unigram model"
        );
        assert_eq!(
            error(|f| f["model"]["unk_id"] = Value::Null),
            "its model has no `unk_id`, the id of unknown text"
        );
        assert_eq!(
            error(|f| f["normalizer"] = json!({"type": "NFKC"})),
            "its normalizer is NFKC, which is not supported"
        );
        assert_eq!(
            error(|f| {
                let pattern = json!({"String": "a"});
                f["normalizer"] = json!({"type": "Replace", "pattern": pattern, "content": "b"});
            }),
            "its normalizer replaces {\"String\":\"a\"}, which is not supported"
        );
        assert_eq!(
            error(|f| f["pre_tokenizer"] = Value::Null),
            "its pre_tokenizer is without a type, which is not supported"
        );
        assert_eq!(
            error(|f| f["pre_tokenizer"] = json!({"type": "ByteLevel"})),
            "its pre_tokenizer is ByteLevel, which is not supported"
        );
        assert_eq!(
            error(|f| f["pre_tokenizer"]["prepend_scheme"] = json!("last")),
            "its pre_tokenizer has the prepend_scheme \"last\", which is not supported"
        );
        assert_eq!(
            error(|f| f["post_processor"] = json!({"type": "BertProcessing"})),
            "its post_processor is BertProcessing, which is not supported"
        );
        assert_eq!(
            error(|f| f["post_processor"]["single"] = json!([])),
            "its post_processor does not append one token to a text, as T5's does"
        );
    }
}
