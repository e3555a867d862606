//! The fuzz bodies on valid files that were changed at random.

use proptest::prelude::*;
use proptest::sample::Index;

use super::{bodies, data, safetensors_file};

/// One change of a file.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    /// A number that hurts where it is a length, size or offset.
    Number(Index, u64, usize),
    Cut(Index),
    Remove(Index, Index),
    Copy(Index, Index, Index),
}

fn change() -> impl Strategy<Value = Change> {
    let index = any::<Index>;
    let number = prop::sample::select(vec![
        0,
        1,
        0x7f,
        0xff,
        0x7fff_ffff,
        0xffff_ffff,
        i64::MAX as u64,
        u64::MAX,
        u64::MAX - 7,
        1 << 40,
    ]);
    prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(at, byte)| Change::Flip(at, byte)),
        4 => (index(), number, prop::sample::select(vec![1usize, 2, 4, 8]))
            .prop_map(|(at, number, len)| Change::Number(at, number, len)),
        1 => index().prop_map(Change::Cut),
        1 => (index(), index()).prop_map(|(at, len)| Change::Remove(at, len)),
        2 => (index(), index(), index()).prop_map(|(from, len, to)| Change::Copy(from, len, to)),
    ]
}

fn apply(bytes: &mut Vec<u8>, changes: Vec<Change>) {
    for change in changes {
        if bytes.is_empty() {
            return;
        }
        let len = bytes.len();
        match change {
            Change::Flip(at, byte) => bytes[at.index(len)] ^= byte,
            Change::Number(at, number, width) => {
                let at = at.index(len);
                let end = (at + width).min(len);
                bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
            }
            Change::Cut(at) => bytes.truncate(at.index(len)),
            Change::Remove(at, count) => {
                let at = at.index(len);
                bytes.drain(at..at + count.index(len - at));
            }
            Change::Copy(from, count, to) => {
                let from = from.index(len);
                let part = bytes[from..from + count.index((len - from).min(64))].to_vec();
                let to = to.index(len);
                bytes.splice(to..to, part);
            }
        }
    }
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(change(), 1..6)
}

/// A file that PyTorch wrote, and its pickle.
fn torch_file(choice: usize) -> (Vec<u8>, Vec<u8>) {
    let name = [
        "types.pt",
        "protocol4.pt",
        "windows.pt",
        "training.ckpt",
        "unsupported.pt",
    ][choice];
    let bytes = std::fs::read(data(&format!("torch/{name}"))).unwrap();
    let mut zip = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).unwrap();
    let stem = name.split('.').next().unwrap();
    let mut record = zip.by_name(&format!("{stem}/data.pkl")).unwrap();
    let mut pickle = Vec::new();
    std::io::Read::read_to_end(&mut record, &mut pickle).unwrap();
    drop(record);
    (bytes, pickle)
}

const HEADER: &str = r#"{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[2,3],
"data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[],"data_offsets":[24,26]},"c":{"dtype":"F8_E4M3",
"shape":[0,6],"data_offsets":[26,26]},"d":{"dtype":"I64","shape":[4],"data_offsets":[26,58]},"e":{
"dtype":"U8","shape":[1,2,3],"data_offsets":[58,64]}}"#;

#[test]
fn the_files_that_are_changed_are_valid() {
    bodies::safetensors_header(HEADER.as_bytes());
    for choice in 0..5 {
        let (file, pickle) = torch_file(choice);
        assert!(super::from_bytes(&file).is_ok());
        bodies::torch_pickle(&pickle);
    }
    assert!(super::from_bytes(&safetensors_file(HEADER, &[7; 64])).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_safetensors_files_do_no_harm(changes in changes()) {
        let mut file = safetensors_file(HEADER, &[7; 64]);
        apply(&mut file, changes);
        bodies::weight_file(&file);
    }

    #[test]
    fn changed_safetensors_headers_do_no_harm(changes in changes()) {
        let mut header = HEADER.as_bytes().to_vec();
        apply(&mut header, changes);
        bodies::safetensors_header(&header);
    }

    #[test]
    fn changed_torch_archives_do_no_harm(choice in 0usize..5, changes in changes()) {
        let (mut file, _) = torch_file(choice);
        apply(&mut file, changes);
        bodies::weight_file(&file);
    }

    #[test]
    fn changed_pickles_do_no_harm(choice in 0usize..5, changes in changes()) {
        let (_, mut pickle) = torch_file(choice);
        apply(&mut pickle, changes);
        bodies::torch_pickle(&pickle);
    }

    #[test]
    fn random_pickles_do_no_harm(code in prop::collection::vec(
        prop_oneof![
            prop::sample::select(b"N]})(tuesaR.Q02b\x85\x86\x87\x88\x8f\x90\x93\x94".to_vec())
                .prop_map(|op| vec![op]),
            (prop::sample::select(b"KhqC\x8c".to_vec()), 0u8..4).prop_map(|(op, n)| vec![op, n]),
            Just(b"cos\nsystem\n".to_vec()),
            Just(b"ctorch\nFloatStorage\n".to_vec()),
            Just(b"ccollections\nOrderedDict\n".to_vec()),
            Just(b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec()),
            Just(b"X\x05\0\0\0modelX\x07\0\0\0storage".to_vec()),
        ],
        0..60,
    )) {
        let pickle = [&b"\x80\x02"[..], &code.concat(), b"."].concat();
        bodies::torch_pickle(&pickle);
    }

    #[test]
    fn changed_shard_indexes_do_no_harm(changes in changes()) {
        let mut json = br#"{"metadata":{"total_size":2},"weight_map":{"a":"x-1.safetensors",
            "b":"deep/x-2.safetensors","c":"../x","d":"/x"}}"#.to_vec();
        apply(&mut json, changes);
        bodies::shard_index(&json);
    }
}
