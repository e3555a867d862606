//! Opening is mapping: files larger than memory open at once. A test of its own, because it looks
//! at the memory of its process.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ascendit::weights::{OpenOptions, Weights};

const TENSORS: usize = 2000;
const TENSOR_BYTES: usize = 5 * 1024 * 1024 / 2;

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// 5 GB of zeros that take no disk.
fn sparse_safetensors(path: &Path) {
    let tensors: Vec<String> = (0..TENSORS)
        .map(|i| {
            format!(
                r#""blocks.{i}.weight":{{"dtype":"F16","shape":[1024,{}],"data_offsets":[{},{}]}}"#,
                TENSOR_BYTES / 2048,
                i * TENSOR_BYTES,
                (i + 1) * TENSOR_BYTES
            )
        })
        .collect();
    let header = format!("{{{}}}", tensors.join(","));
    let mut file = File::create(path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes())
        .unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len((8 + header.len() + TENSORS * TENSOR_BYTES) as u64)
        .unwrap();
}

/// The same as a PyTorch zip archive, whose records are spread over the file: a zip64 archive
/// with holes for storages.
fn sparse_torch(path: &Path) {
    let pickle = pickle();
    let mut file = File::create(path).unwrap();
    let mut directory = Vec::new();
    let record = |file: &mut File, directory: &mut Vec<u8>, name: &str, size: u64| {
        let at = file.stream_position().unwrap();
        let mut sizes = Vec::new();
        sizes.extend([0; 4]); // checksum: not looked at
        sizes.extend((size as u32).to_le_bytes());
        sizes.extend((size as u32).to_le_bytes());
        sizes.extend((name.len() as u16).to_le_bytes());
        let mut local = b"PK\x03\x04\x2d\0\0\0\0\0\0\0\0\0".to_vec();
        local.extend(&sizes);
        local.extend(0u16.to_le_bytes());
        local.extend(name.as_bytes());
        file.write_all(&local).unwrap();
        directory.extend(b"PK\x01\x02\x2d\0\x2d\0\0\0\0\0\0\0\0\0");
        directory.extend(&sizes);
        directory.extend(12u16.to_le_bytes());
        directory.extend([0; 10]);
        directory.extend(u32::MAX.to_le_bytes());
        directory.extend(name.as_bytes());
        directory.extend(b"\x01\0\x08\0");
        directory.extend(at.to_le_bytes());
    };
    record(&mut file, &mut directory, "a/data.pkl", pickle.len() as u64);
    file.write_all(&pickle).unwrap();
    for i in 0..TENSORS {
        let name = format!("a/data/{i}");
        record(&mut file, &mut directory, &name, TENSOR_BYTES as u64);
        file.seek(SeekFrom::Current(TENSOR_BYTES as i64)).unwrap();
    }
    let start = file.stream_position().unwrap();
    file.write_all(&directory).unwrap();
    let end = file.stream_position().unwrap();
    let mut tail = b"PK\x06\x06".to_vec();
    tail.extend(44u64.to_le_bytes());
    tail.extend(b"\x2d\0\x2d\0");
    tail.extend([0; 8]);
    for n in [TENSORS as u64 + 1, TENSORS as u64 + 1, end - start, start] {
        tail.extend(n.to_le_bytes());
    }
    tail.extend(b"PK\x06\x07\0\0\0\0");
    tail.extend(end.to_le_bytes());
    tail.extend(1u32.to_le_bytes());
    tail.extend(b"PK\x05\x06\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\0\0");
    file.write_all(&tail).unwrap();
}

/// The pickle of `{"blocks.0.weight": tensor, ...}`, each on a storage of its own.
fn pickle() -> Vec<u8> {
    let text = |text: &str| {
        [
            b"X",
            &(text.len() as u32).to_le_bytes()[..],
            text.as_bytes(),
        ]
        .concat()
    };
    let int = |n: usize| [b"J", &(n as i32).to_le_bytes()[..]].concat();
    let elements = TENSOR_BYTES / 2;
    let mut code = b"\x80\x02}(".to_vec();
    for i in 0..TENSORS {
        code.extend(text(&format!("blocks.{i}.weight")));
        code.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        code.extend(text("storage"));
        code.extend(b"ctorch\nHalfStorage\n");
        code.extend(text(&i.to_string()));
        code.extend(text("cpu"));
        code.extend(int(elements));
        code.extend(b"tQK\x00");
        code.extend([int(1024), int(elements / 1024), b"\x86".to_vec()].concat());
        code.extend([int(elements / 1024), int(1), b"\x86".to_vec()].concat());
        code.extend(b"\x89NtR");
    }
    code.extend(b"u.");
    code
}

#[test]
fn five_gigabytes_open_at_once_without_being_read() {
    let directory = tempfile::tempdir().unwrap();
    let make: [(&str, fn(&Path)); 2] = [
        ("x.safetensors", sparse_safetensors),
        ("x.pt", sparse_torch),
    ];
    for (name, make) in make {
        let path = directory.path().join(name);
        make(&path);
        let before = resident_bytes();
        let start = Instant::now();
        let weights = Weights::open(&path, &OpenOptions::default()).unwrap();
        let took = start.elapsed();
        let grown = resident_bytes().saturating_sub(before);
        println!("{name}: {took:?}, {grown} bytes");
        assert_eq!(weights.iter().count(), TENSORS);
        assert_eq!(weights.size_bytes(), (TENSORS * TENSOR_BYTES) as u64);
        assert!(took < Duration::from_secs(1), "{name}: {took:?}");
        assert!(grown < 50 << 20, "{name}: {grown} bytes more are resident");

        let last = weights
            .view(&format!("blocks.{}.weight", TENSORS - 1))
            .unwrap();
        assert_eq!(last.as_bytes(&weights).unwrap()[TENSOR_BYTES - 1], 0);
    }
}
