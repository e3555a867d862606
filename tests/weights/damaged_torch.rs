//! PyTorch archives that are damaged, compressed, or made to do harm.

use std::io::{Cursor, Write};

use zip::CompressionMethod::{self, Deflated, Stored};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::{data, from_bytes, message};

fn archive(records: &[(&str, &[u8], CompressionMethod)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for &(name, bytes, method) in records {
        let options = SimpleFileOptions::default().compression_method(method);
        writer.start_file(name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// The records of a checkpoint made by PyTorch.
fn records(name: &str) -> Vec<(String, Vec<u8>)> {
    let file = std::fs::File::open(data(&format!("torch/{name}"))).unwrap();
    let mut zip = zip::ZipArchive::new(file).unwrap();
    (0..zip.len())
        .map(|i| {
            let mut record = zip.by_index(i).unwrap();
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut record, &mut bytes).unwrap();
            (record.name().unwrap().into_owned(), bytes)
        })
        .collect()
}

fn packed(change: impl Fn(&str, &[u8]) -> Option<(Vec<u8>, CompressionMethod)>) -> Vec<u8> {
    let records = records("module.bin");
    let changed: Vec<_> = records
        .iter()
        .filter_map(|(name, bytes)| {
            let (bytes, method) = change(name, bytes)?;
            Some((name.as_str(), bytes, method))
        })
        .collect();
    let changed: Vec<_> = changed.iter().map(|(n, b, m)| (*n, &b[..], *m)).collect();
    archive(&changed)
}

#[test]
fn an_archive_that_was_packed_again_is_read() {
    let weights = from_bytes(&packed(|_, bytes| Some((bytes.to_vec(), Stored)))).unwrap();
    assert_eq!(weights.read("out.bias").unwrap().shape(), [2]);
}

#[test]
fn compressed_records_are_refused() {
    let compressed = |wanted: &'static str| {
        message(from_bytes(&packed(|name, bytes| {
            let method = if name.ends_with(wanted) {
                Deflated
            } else {
                Stored
            };
            Some((bytes.to_vec(), method))
        })))
    };
    assert_eq!(
        compressed("data.pkl"),
        "<memory>: its record data.pkl is compressed; save it again with torch.save"
    );
    assert_eq!(
        compressed("data/1"),
        "<memory>: proj.bias: its record data/1 is compressed; save it again with torch.save"
    );
}

#[test]
fn a_zip_bomb_is_not_unpacked() {
    let bomb = archive(&[("a/data.pkl", &vec![b'N'; 100 << 20], Deflated)]);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(
        message(from_bytes(&bomb)),
        "<memory>: its record data.pkl is compressed; save it again with torch.save"
    );
}

#[test]
fn big_endian_checkpoints_are_refused() {
    let big = packed(|name, bytes| {
        let order = b"big".to_vec();
        Some((
            if name.ends_with("byteorder") {
                order
            } else {
                bytes.to_vec()
            },
            Stored,
        ))
    });
    assert_eq!(
        message(from_bytes(&big)),
        "<memory>: its byte order is \"big\"; only little-endian checkpoints are read"
    );
}

#[test]
fn missing_and_short_storages_are_named() {
    let without =
        packed(|name, bytes| (!name.ends_with("data/0")).then(|| (bytes.to_vec(), Stored)));
    assert_eq!(
        message(from_bytes(&without)),
        "<memory>: proj.weight: its storage \"0\" is not in the file"
    );
    let short = packed(|name, bytes| {
        let len = bytes.len() - usize::from(name.ends_with("data/0"));
        Some((bytes[..len].to_vec(), Stored))
    });
    assert_eq!(
        message(from_bytes(&short)),
        "<memory>: proj.weight: its storage 0 has 127 bytes, which are not 32 elements of \
         float32; the file is damaged, download it again"
    );
}

#[test]
fn archives_of_other_programs_are_refused() {
    let cases: [(Vec<u8>, &str); 3] = [
        (
            archive(&[("word/document.xml", b"<x/>", Stored)]),
            "is a zip archive without a PyTorch data.pkl",
        ),
        (
            archive(&[("a/data.pkl", b"", Stored), ("b/data.pkl", b"", Stored)]),
            "is a zip archive with several PyTorch data.pkl",
        ),
        (
            archive(&[("a/data.pkl", &vec![0; (64 << 20) + 1], Stored)]),
            "its data.pkl is 67108865 bytes long; at most 67108864 are read; save only the state \
             dict, or use safetensors",
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(message(from_bytes(&bytes)), format!("<memory>: {expected}"));
    }
}

#[test]
fn a_file_that_is_cut_off_is_an_error_at_every_length() {
    let whole = std::fs::read(data("torch/module.bin")).unwrap();
    for len in 0..whole.len() {
        let text = message(from_bytes(&whole[..len]));
        let expected = [
            "is no complete zip archive (",
            "is empty; download it again",
            "is only ",
            "is neither a safetensors file nor a PyTorch zip checkpoint",
        ];
        let text = text.strip_prefix("<memory>: ").unwrap();
        assert!(
            expected.iter().any(|start| text.starts_with(start)),
            "{len}: {text}"
        );
    }
}

/// Where `bytes` has the directory entry of the record `name`.
fn directory_entry(bytes: &[u8], name: &str) -> usize {
    let at = bytes
        .windows(name.len())
        .rposition(|w| w == name.as_bytes())
        .unwrap();
    assert_eq!(bytes[at - 46..at - 42], *b"PK\x01\x02");
    at - 46
}

#[test]
fn records_that_overlap_are_refused() {
    let mut bytes = std::fs::read(data("torch/module.bin")).unwrap();
    let first = directory_entry(&bytes, "module/data/0");
    let second = directory_entry(&bytes, "module/data/1");
    let place: Vec<u8> = bytes[first + 42..first + 46].to_vec();
    bytes[second + 42..second + 46].copy_from_slice(&place);
    assert_eq!(
        message(from_bytes(&bytes)),
        "<memory>: is no complete zip archive (records overlap); it is cut off or damaged, \
         download it again"
    );
}

#[test]
fn records_of_one_name_are_refused() {
    let mut bytes = std::fs::read(data("torch/module.bin")).unwrap();
    let second = directory_entry(&bytes, "module/data/1") + 46;
    bytes[second..second + 13].copy_from_slice(b"module/data/0");
    assert_eq!(
        message(from_bytes(&bytes)),
        "<memory>: is no complete zip archive (two records have one name); it is cut off or \
         damaged, download it again"
    );
}

#[test]
fn a_record_that_claims_more_than_the_file_has_is_refused() {
    let mut bytes = std::fs::read(data("torch/module.bin")).unwrap();
    let entry = directory_entry(&bytes, "module/data/0");
    for size in [20, 24] {
        bytes[entry + size..entry + size + 4].copy_from_slice(&0x7fff_fff0_u32.to_le_bytes());
    }
    assert_eq!(
        message(from_bytes(&bytes)),
        "<memory>: is no complete zip archive (records overlap); it is cut off or damaged, \
         download it again"
    );
}
