//! Opening is mapping: files larger than memory open at once, and small files cannot ask for much
//! memory. A program of its own, because it looks at the memory of its process.
#![cfg(target_os = "linux")]

#[path = "../fuzz/bodies.rs"]
#[allow(dead_code)]
mod bodies;

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ascendit::weights::{OpenOptions, Weights};

/// The system's allocator, counting.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller keeps the contract of this function, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The tests here measure the whole process, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

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

fn text(text: &str) -> Vec<u8> {
    [
        b"X",
        &(text.len() as u32).to_le_bytes()[..],
        text.as_bytes(),
    ]
    .concat()
}

fn int(n: usize) -> Vec<u8> {
    [b"J", &(n as i32).to_le_bytes()[..]].concat()
}

/// A tensor on a storage of `elements` elements.
fn tensor(class: &str, key: &str, elements: usize, shape: &[usize], strides: &[usize]) -> Vec<u8> {
    let tuple = |sizes: &[usize]| {
        let items: Vec<u8> = sizes.iter().flat_map(|&n| int(n)).collect();
        [b"(", &items[..], b"t"].concat()
    };
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        format!("ctorch\n{class}\n").into_bytes(),
        text(key),
        text("cpu"),
        int(elements),
        b"tQK\x00".to_vec(),
        tuple(shape),
        tuple(strides),
        b"\x89NtR".to_vec(),
    ]
    .concat()
}

/// The pickle of `{"blocks.0.weight": tensor, ...}`, each on a storage of its own.
fn pickle() -> Vec<u8> {
    let elements = TENSOR_BYTES / 2;
    let shape = [1024, elements / 1024];
    let mut code = b"\x80\x02}(".to_vec();
    for i in 0..TENSORS {
        code.extend(text(&format!("blocks.{i}.weight")));
        code.extend(tensor(
            "HalfStorage",
            &i.to_string(),
            elements,
            &shape,
            &[shape[1], 1],
        ));
    }
    code.extend(b"u.");
    code
}

#[test]
fn five_gigabytes_open_at_once_without_being_read() {
    let _turn = TURN.lock().unwrap();
    let directory = tempfile::tempdir().unwrap();
    for name in ["x.safetensors", "x.pt"] {
        let path = directory.path().join(name);
        match name {
            "x.pt" => sparse_torch(&path),
            _ => sparse_safetensors(&path),
        }
        let before = resident_bytes();
        let start = Instant::now();
        let weights = Weights::open(&path, &OpenOptions::default()).unwrap();
        let took = start.elapsed();
        let grown = resident_bytes().saturating_sub(before);
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

/// Files that a careless reader would spend much memory or time on.
fn hostile_files() -> Vec<(&'static str, Vec<u8>)> {
    let pickle = |code: &[u8]| bodies::torch_archive(&[b"\x80\x02", code, b"."].concat());
    let safetensors =
        |length: u64, header: &str| [&length.to_le_bytes()[..], header.as_bytes()].concat();
    let one_shape = r#"{"w":{"dtype":"U8","shape":[1000000000],"data_offsets":[0,1000000000]}}"#;
    let many_names = {
        let mut code = [b"}(", &text("first")[..]].concat();
        code.extend(tensor("ByteStorage", "0", 64, &[1; 8], &[1; 8]));
        code.extend(b"q\x00");
        for i in 0..100_000 {
            code.extend(text(&i.to_string()));
            code.extend(b"h\x00");
        }
        code.push(b'u');
        code
    };
    let names_twice_nested = {
        let mut code = b"}q\x00(".to_vec();
        for i in 0..200_000 {
            code.extend(text(&i.to_string()));
            code.extend(b"N");
        }
        for key in [
            "state_dict",
            "model",
            "gen_model",
            "ema",
            "module",
            "ema_state_dict",
        ] {
            code.extend(text(key));
            code.extend(b"h\x00");
        }
        code.push(b'u');
        code
    };
    let mut many_records = bodies::torch_archive(b"\x80\x02N.");
    let end = many_records.len() - 22;
    many_records[end + 8..end + 12].copy_from_slice(&[0xff; 4]);
    vec![
        ("lists", pickle(&b"]".repeat(1_000_000))),
        (
            "memo",
            pickle(&[&b"N"[..], &b"\x94".repeat(1_000_000)].concat()),
        ),
        ("marks", pickle(&b"(".repeat(1_000_000))),
        (
            "tuples",
            pickle(&[&b"N"[..], &b"\x85".repeat(1_000_000)].concat()),
        ),
        ("long string", pickle(b"\x8d\xff\xff\xff\xff\x0f\0\0\0")),
        ("many names", pickle(&many_names)),
        ("dicts in themselves", pickle(&names_twice_nested)),
        ("many records", many_records),
        ("header length", safetensors(99_999_999, "{}")),
        ("shape", safetensors(one_shape.len() as u64, one_shape)),
    ]
}

#[test]
fn a_file_cannot_ask_for_much_more_memory_than_it_is_long() {
    let _turn = TURN.lock().unwrap();
    for (name, file) in hostile_files() {
        let len = file.len();
        let before = LIVE.load(Relaxed);
        PEAK.store(before, Relaxed);
        let start = Instant::now();
        let opened = Weights::from_bytes(file, &OpenOptions::default());
        let took = start.elapsed();
        let peak = PEAK.load(Relaxed) - before;
        // All but one are refused; many names of one tensor are fine.
        assert_eq!(opened.is_ok(), name == "many names", "{name}: {opened:?}");
        assert!(
            peak < 64 * len + (64 << 10),
            "{name}: {peak} bytes for a file of {len}"
        );
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
    }
}
