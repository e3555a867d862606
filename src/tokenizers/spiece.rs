//! Reads a SentencePiece `spiece.model`.
//!
//! The file is a protobuf `ModelProto` (`sentencepiece_model.proto` in SentencePiece, proto2);
//! the messages here have only the fields that are used.

use prost::Message;

use super::charsmap::Charsmap;
use super::unigram::ScoredPiece;

#[derive(Clone, PartialEq, Message)]
struct ModelProto {
    #[prost(message, repeated, tag = "1")]
    pieces: Vec<PieceProto>,
    #[prost(message, optional, tag = "2")]
    trainer: Option<TrainerProto>,
    #[prost(message, optional, tag = "3")]
    normalizer: Option<NormalizerProto>,
}

#[derive(Clone, PartialEq, Message)]
struct PieceProto {
    #[prost(string, optional, tag = "1")]
    piece: Option<String>,
    #[prost(float, optional, tag = "2")]
    score: Option<f32>,
    #[prost(int32, optional, tag = "3", default = "1")]
    kind: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct TrainerProto {
    #[prost(int32, optional, tag = "3", default = "1")]
    model_type: Option<i32>,
    #[prost(int32, optional, tag = "40", default = "0")]
    unknown_id: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
struct NormalizerProto {
    #[prost(bytes = "vec", optional, tag = "2")]
    charsmap: Option<Vec<u8>>,
}

/// Piece kinds: markers such as `</s>`, and texts that the trainer was told to keep whole.
const CONTROL: i32 = 3;
const USER_DEFINED: i32 = 4;

/// What a `spiece.model` says.
#[derive(Debug)]
pub(super) struct Spiece {
    /// All pieces; their places are their ids.
    pub(super) pieces: Vec<ScoredPiece>,
    /// Control and user-defined pieces, in order, and whether they are control pieces.
    pub(super) marked: Vec<(String, bool)>,
    /// The id of unknown text, unchecked.
    pub(super) unknown_id: i64,
    /// Normalisation rules, if it has any.
    pub(super) charsmap: Option<Charsmap>,
}

impl Spiece {
    /// Reads the bytes of the file; the error says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let proto = ModelProto::decode(bytes)
            .map_err(|_| "it is not a SentencePiece model, or it is cut short".to_owned())?;
        let trainer = proto.trainer.unwrap_or_default();
        let kind = match trainer.model_type() {
            1 => None,
            2 => Some("BPE"),
            3 => Some("word"),
            4 => Some("character"),
            _ => Some("unknown"),
        };
        if let Some(kind) = kind {
            return Err(format!(
                "its model type is {kind}, but T5 and mT5 have a unigram model"
            ));
        }
        let charsmap = proto
            .normalizer
            .and_then(|normalizer| normalizer.charsmap)
            .filter(|blob| !blob.is_empty())
            .map(|blob| Charsmap::parse(&blob))
            .transpose()?;
        let mut pieces = Vec::with_capacity(proto.pieces.len());
        let mut marked = Vec::new();
        for piece in proto.pieces {
            let kind = piece.kind();
            let score = f64::from(piece.score());
            let text = piece.piece.unwrap_or_default();
            if kind == CONTROL || kind == USER_DEFINED {
                marked.push((text.clone(), kind == CONTROL));
            }
            pieces.push((text, score));
        }
        Ok(Self {
            pieces,
            marked,
            unknown_id: trainer.unknown_id().into(),
            charsmap,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(proto: &ModelProto) -> String {
        Spiece::parse(&proto.encode_to_vec()).unwrap_err()
    }

    #[test]
    fn other_model_types_are_refused_by_name() {
        for (model_type, name) in [(2, "BPE"), (3, "word"), (4, "character"), (77, "unknown")] {
            let proto = ModelProto {
                trainer: Some(TrainerProto {
                    model_type: Some(model_type),
                    unknown_id: None,
                }),
                ..Default::default()
            };
            assert_eq!(
                error(&proto),
                format!("its model type is {name}, but T5 and mT5 have a unigram model")
            );
        }
    }

    #[test]
    fn what_is_left_out_has_the_defaults_of_the_format() {
        let spiece = Spiece::parse(&[]).unwrap();
        assert_eq!(spiece.unknown_id, 0);
        assert!(spiece.charsmap.is_none());
        let with_empty_rules = ModelProto {
            pieces: vec![PieceProto::default()],
            trainer: None,
            normalizer: Some(NormalizerProto {
                charsmap: Some(Vec::new()),
            }),
        };
        let spiece = Spiece::parse(&with_empty_rules.encode_to_vec()).unwrap();
        assert_eq!(spiece.pieces, [(String::new(), 0.0)]);
        assert!(spiece.marked.is_empty());
        assert!(spiece.charsmap.is_none());
    }

    #[test]
    fn broken_rules_are_an_error() {
        let proto = ModelProto {
            normalizer: Some(NormalizerProto {
                charsmap: Some(vec![1]),
            }),
            ..Default::default()
        };
        assert_eq!(
            error(&proto),
            "its table of normalisation rules is broken: it is shorter than its own header"
        );
    }
}
