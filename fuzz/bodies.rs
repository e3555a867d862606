//! What the fuzz targets do with their input; `tests/weights/fuzz.rs` runs the same bodies.
//!
//! Each panics only where the engine is wrong: whatever the bytes are, opening them gives tensors
//! that lie inside of the file and can be read, or an error.

use ascendit::weights::{OpenOptions, ShardIndex, StateDict, Weights};

/// Opens `data` as a whole weight file and reads all tensors that are found in it.
pub(crate) fn weight_file(data: &[u8]) {
    for state_dict in ["auto", "ema", "plain", "state_dict.gen_model"] {
        let options = OpenOptions {
            state_dict: StateDict::from(state_dict),
        };
        if let Ok(weights) = Weights::from_bytes(data.to_vec(), &options) {
            read_all(&weights, data.len());
        }
    }
}

/// Opens a safetensors file with `data` as its header and 64 bytes of elements.
pub(crate) fn safetensors_header(data: &[u8]) {
    let mut file = (data.len() as u64).to_le_bytes().to_vec();
    file.extend_from_slice(data);
    file.extend_from_slice(&[7; 64]);
    if let Ok(weights) = Weights::from_bytes(file.clone(), &OpenOptions::default()) {
        read_all(&weights, file.len());
    }
}

/// Opens a PyTorch archive with `data` as its pickle and two storages of 64 bytes.
pub(crate) fn torch_pickle(data: &[u8]) {
    weight_file(&torch_archive(data));
}

/// Reads `data` as a shard index.
pub(crate) fn shard_index(data: &[u8]) {
    if let Ok(index) = ShardIndex::parse(data) {
        for shard in index.shards.keys() {
            assert!(!shard.contains("..") && !shard.starts_with('/'), "{shard}");
        }
    }
}

/// A PyTorch archive around a pickle.
pub(crate) fn torch_archive(pickle: &[u8]) -> Vec<u8> {
    use std::io::Write;
    use zip::write::SimpleFileOptions;

    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let records: [(&str, &[u8]); 3] = [
        ("a/data.pkl", pickle),
        ("a/data/0", &[1; 64]),
        ("a/data/1", &[2; 64]),
    ];
    for (name, bytes) in records {
        writer
            .start_file(name, stored)
            .expect("a record is started");
        writer.write_all(bytes).expect("memory takes all bytes");
    }
    writer.finish().expect("the archive is whole").into_inner()
}

fn read_all(weights: &Weights, file_len: usize) {
    assert_eq!(
        weights.names().count(),
        weights.iter().count() + weights.unsupported().len()
    );
    for (name, entry) in weights.iter() {
        assert!(
            entry.size_bytes() <= file_len,
            "{name}: larger than its file"
        );
        assert!(weights.bytes(entry).len() <= file_len);
        let tensor = weights.read(name).expect("a listed tensor is readable");
        assert_eq!(tensor.shape(), entry.shape, "{name}");
        if entry.is_contiguous() {
            assert_eq!(weights.bytes(entry).len(), entry.size_bytes(), "{name}");
        }
    }
}
