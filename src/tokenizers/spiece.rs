//! Reads a SentencePiece `spiece.model`.
//!
//! The file is a protobuf `ModelProto` (`sentencepiece_model.proto` in SentencePiece, proto2);
//! the messages here have only the fields that are used.

use prost::Message;

use super::charsmap::Charsmap;
use super::unigram::{ScoredPiece, checked_unknown_id};

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
    /// The id of unknown text.
    pub(super) unknown_id: u32,
    /// Normalisation rules, if it has any.
    pub(super) charsmap: Option<Charsmap>,
}

impl Spiece {
    /// Reads the bytes of the file; the error says what is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let not_a_model = "it is not a SentencePiece model, or it is cut short";
        let proto = ModelProto::decode(bytes).map_err(|_| not_a_model)?;
        // Every trained model has both, behind its pieces: a file that was cut between two
        // messages lacks one.
        let (Some(trainer), Some(normalizer)) = (proto.trainer, proto.normalizer) else {
            return Err(not_a_model.into());
        };
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
        let charsmap = normalizer
            .charsmap
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
            unknown_id: checked_unknown_id(trainer.unknown_id().into(), pieces.len())?,
            pieces,
            marked,
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

    fn model(trainer: TrainerProto, charsmap: Option<Vec<u8>>) -> ModelProto {
        ModelProto {
            pieces: vec![PieceProto::default()],
            trainer: Some(trainer),
            normalizer: Some(NormalizerProto { charsmap }),
        }
    }

    #[test]
    fn other_model_types_are_refused_by_name() {
        for (model_type, name) in [(2, "BPE"), (3, "word"), (4, "character"), (77, "unknown")] {
            let trainer = TrainerProto {
                model_type: Some(model_type),
                unknown_id: None,
            };
            assert_eq!(
                error(&model(trainer, None)),
                format!("its model type is {name}, but T5 and mT5 have a unigram model")
            );
        }
    }

    #[test]
    fn what_is_left_out_has_the_defaults_of_the_format() {
        for charsmap in [None, Some(Vec::new())] {
            let proto = model(TrainerProto::default(), charsmap);
            let spiece = Spiece::parse(&proto.encode_to_vec()).unwrap();
            assert_eq!(spiece.unknown_id, 0);
            assert_eq!(spiece.pieces, [(String::new(), 0.0)]);
            assert!(spiece.marked.is_empty());
            assert!(spiece.charsmap.is_none());
        }
    }

    #[test]
    fn a_model_without_its_last_parts_is_cut_short() {
        let mut proto = model(TrainerProto::default(), None);
        proto.normalizer = None;
        let expected = "it is not a SentencePiece model, or it is cut short";
        assert_eq!(error(&proto), expected);
        assert_eq!(error(&ModelProto::default()), expected);
    }

    #[test]
    fn broken_rules_are_an_error() {
        assert_eq!(
            error(&model(TrainerProto::default(), Some(vec![1]))),
            "its table of normalisation rules is broken: it is shorter than its own header"
        );
    }
}
