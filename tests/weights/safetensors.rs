//! Safetensors files: what is read, what is refused, and agreement with the format's own crate.

use ascendit::tensor::{DType, Data};
use proptest::prelude::*;

use super::{from_bytes, message, safetensors_file};

fn refused(header: &str, elements: usize) -> String {
    message(from_bytes(&safetensors_file(header, &vec![0; elements])))
}

#[test]
fn tensors_and_metadata_are_read() {
    let header = r#"{"__metadata__":{"format":"pt"},
        "b":{"dtype":"F32","shape":[2,1],"data_offsets":[2,10]},
        "a":{"dtype":"BOOL","shape":[2],"data_offsets":[0,2]}}   "#;
    let weights = from_bytes(&safetensors_file(
        header,
        &[1, 0, 0, 0, 128, 63, 0, 0, 0, 64],
    ))
    .unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(weights.metadata()["format"], "pt");
    assert_eq!(
        weights.read("a").unwrap().data(),
        &Data::Bool(vec![true, false])
    );
    assert_eq!(weights.read("b").unwrap().as_f32(), [1.0, 2.0]);
    let entry = weights.get("b").unwrap();
    assert_eq!((entry.dtype, &entry.strides[..]), (DType::F32, &[1, 1][..]));
    assert_eq!((weights.parameters(), weights.size_bytes()), (4, 10));
}

#[test]
fn names_lose_a_wrapper_prefix_that_all_of_them_have() {
    let two = |a: &str, b: &str| {
        let header = format!(
            r#"{{"{a}":{{"dtype":"U8","shape":[],"data_offsets":[0,1]}},
                 "{b}":{{"dtype":"I8","shape":[],"data_offsets":[1,2]}}}}"#
        );
        let weights = from_bytes(&safetensors_file(&header, &[0; 2])).unwrap();
        weights.names().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(two("module.b", "module.a"), ["a", "b"]);
    assert_eq!(two("module.b", "a"), ["a", "module.b"]);
}

#[test]
fn a_missing_tensor_is_named() {
    let weights = from_bytes(&safetensors_file("{}", &[])).unwrap();
    assert_eq!(
        weights.read("w").unwrap_err().to_string(),
        "<memory>: w: missing"
    );
}

#[test]
fn an_element_type_of_the_future_is_an_error_only_where_it_is_used() {
    let header = r#"{"new":{"dtype":"F3","shape":[9],"data_offsets":[0,4]},
        "f8":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[4,6]},
        "w":{"dtype":"U8","shape":[1],"data_offsets":[6,7]}}"#;
    let weights = from_bytes(&safetensors_file(header, &[5; 7])).unwrap();
    assert_eq!(weights.names().collect::<Vec<_>>(), ["f8", "new", "w"]);
    assert_eq!(weights.read("w").unwrap().as_bytes(), [5]);
    assert_eq!(
        weights.read("new").unwrap_err().to_string(),
        "<memory>: new: its element type F3 is not supported; f64, f32, f16, bf16, i64, i32, u8 \
         and bool are"
    );
}

#[test]
fn damaged_files_say_what_is_wrong() {
    let tensor = |name: &str, dtype: &str, shape: &str, start: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let one = |dtype: &str, shape: &str, start, end| {
        format!("{{{}}}", tensor("w", dtype, shape, start, end))
    };
    let two = |a: String, b: String| format!("{{{a},{b}}}");
    let huge = u64::MAX / 2;
    let cases = [
        (
            one("F32", "[2]", 0, 8),
            7,
            "w: it lies at bytes 0 to 8, and the file has 7; the file is cut off, download it again",
        ),
        (
            one("F32", "[2]", 0, 8),
            9,
            "bytes 8 to 9, after the last tensor, belong to no tensor",
        ),
        (
            one("F32", "[2]", 4, 12),
            12,
            "bytes 0 to 4, before w, belong to no tensor",
        ),
        (
            one("F32", "[3]", 0, 8),
            8,
            "w: 3 elements of type F32 do not fill its 8 bytes",
        ),
        (
            one("F4", "[3]", 0, 1),
            1,
            "w: 3 elements of type F4 do not fill its 1 bytes",
        ),
        (
            one("F32", "[2]", 8, 0),
            8,
            "w: it ends at byte 0, before its start 8",
        ),
        (
            one("F32", "[2]", 0, huge),
            8,
            "w: it lies at bytes 0 to 9223372036854775807, and the file has 8; the file is cut \
             off, download it again",
        ),
        (
            one("U8", "[1000000000,1000000000,1000000000]", 0, 8),
            8,
            "w: its shape [1000000000, 1000000000, 1000000000] is larger than any memory",
        ),
        (
            one("U8", "[0,4294967296,4294967296]", 0, 0),
            0,
            "w: its shape [0, 4294967296, 4294967296] is larger than any memory",
        ),
        (
            one("U8", "[1000000000]", 0, 8),
            8,
            "w: 1000000000 elements of type U8 do not fill its 8 bytes",
        ),
        (
            one("U8", "[1,1,1,1,1,1,1,1,1]", 0, 1),
            1,
            "w: it has 9 axes; at most 8 are read",
        ),
        (
            one("U8", "[-1]", 0, 1),
            1,
            "the safetensors header is damaged: w: invalid value: integer `-1`, expected usize at \
             line 1 column 30",
        ),
        (
            two(
                tensor("a", "U8", "[8]", 0, 8),
                tensor("b", "U8", "[4]", 4, 8),
            ),
            8,
            "b: its bytes 4 to 8 overlap those of a",
        ),
        (
            two(
                tensor("a", "U8", "[8]", 0, 8),
                tensor("a", "U8", "[8]", 0, 8),
            ),
            8,
            "the safetensors header is damaged: a is there twice at line 1 column 105",
        ),
        (
            r#"{"__metadata__":{"a":"1","a":"2"}}"#.into(),
            0,
            "the safetensors header is damaged: __metadata__: a is there twice at line 1 column 33",
        ),
        (
            r#"{"__metadata__":{"a":1}}"#.into(),
            0,
            "the safetensors header is damaged: __metadata__: a: invalid type: integer `1`, \
             expected a string at line 1 column 22",
        ),
        (
            r#"{"w":{"dtype":"U8","shape":[1]}}"#.into(),
            1,
            "the safetensors header is damaged: w: missing field `data_offsets` at line 1 column \
             31",
        ),
        (
            r#"{"w":"#.into(),
            0,
            "the safetensors header is damaged: w: EOF while parsing a value at line 1 column 5",
        ),
    ];
    for (header, elements, expected) in cases {
        assert_eq!(
            refused(&header, elements),
            format!("<memory>: {expected}"),
            "{header}"
        );
    }
}

#[test]
fn a_header_length_that_cannot_be_is_refused() {
    let with_length = |length: u64| {
        let mut file = length.to_le_bytes().to_vec();
        file.extend_from_slice(b"{}      ");
        message(from_bytes(&file))
    };
    assert_eq!(
        with_length(9),
        "<memory>: is cut off: its header is 9 bytes long, and the file has 8 after its length; \
         download it again"
    );
    assert_eq!(
        with_length(u64::MAX),
        "<memory>: is no safetensors file: its header would be 18446744073709551615 bytes long, \
         and at most 100000000 are allowed"
    );
}

#[test]
fn deeply_nested_json_is_harmless() {
    let header = format!(r#"{{"w":{{"x":{}"#, "[".repeat(100_000));
    assert_eq!(
        refused(&header, 0),
        "<memory>: the safetensors header is damaged: w: EOF while parsing a list at line \
         1 column 100010"
    );
}

proptest! {
    /// A header is taken exactly where the `safetensors` crate takes it.
    #[test]
    fn the_rules_are_those_of_the_format(
        tensors in prop::collection::vec(
            (prop::sample::select(vec!["F32", "F16", "U8", "F4", "I8", "BOOL", "C64"]),
             prop::collection::vec(0usize..4, 0..3), 0usize..3),
            0..4,
        ),
        missing in 0usize..3,
        hole in 0usize..8,
    ) {
        let mut end = 0;
        let fields: Vec<String> = tensors
            .iter()
            .enumerate()
            .map(|(i, (dtype, shape, wrong))| {
                let bits = match *dtype { "F32" => 32, "F16" => 16, "F4" => 4, "C64" => 64, _ => 8 };
                // Two in three tensors have the right size, two in eight files a hole.
                let bytes = shape.iter().product::<usize>() * bits / 8 + wrong / 2;
                let start = end + usize::from(hole == i);
                end = start + bytes;
                format!(
                    r#""t{i}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
                )
            })
            .collect();
        let header = format!("{{{}}}", fields.join(","));
        let file = safetensors_file(&header, &vec![3; end.saturating_sub(missing / 2)]);
        let theirs = ::safetensors::SafeTensors::deserialize(&file);
        let ours = from_bytes(&file);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}: {:?} {:?}", header, ours.err(), theirs.err());
        if let (Ok(ours), Ok(theirs)) = (ours, theirs) {
            let mut names = theirs.names();
            names.sort_unstable();
            prop_assert_eq!(ours.names().collect::<Vec<_>>(), names);
            for (name, entry) in ours.iter() {
                let tensor = theirs.tensor(name).unwrap();
                prop_assert_eq!(ours.bytes(entry), tensor.data());
                prop_assert_eq!(&entry.shape[..], tensor.shape());
            }
        }
    }
}
