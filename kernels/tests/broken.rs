//! Kernels with one mistake each are caught with a text that says where it is and what to do, and the same kernels
//! without it run. `broken/broken.h` says how a kernel is written for this.

#![cfg(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64")
))]

use std::collections::BTreeMap;
use std::fs;
use std::mem::take;
use std::path::Path;

use ascendit_kernels::twin::{Launch, Memory, Modes, broken_kernels};

/// Bytes of each argument.
const BYTES: usize = 64 * 1024;

/// What a source says of a kernel.
#[derive(Debug)]
struct Expected {
    fault: String,
    /// Blocks with the mistake and without.
    blocks: [u32; 2],
}

/// The kernels of a source, by name.
fn read(file: &Path, found: &mut BTreeMap<String, Expected>) {
    let file_name = file.file_name().unwrap().to_str().unwrap();
    let text = fs::read_to_string(file).unwrap();
    let (mut fault, mut blocks) = (String::new(), [1, 1]);
    let mut places = vec![];
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(start) = line.strip_prefix("/// FAULT: ") {
            fault = start.to_owned();
        } else if let Some(counts) = line.strip_prefix("/// BLOCKS: ") {
            let counts: Vec<u32> = counts.split(' ').map(|n| n.parse().unwrap()).collect();
            blocks = counts.try_into().unwrap();
        } else if let Some(more) = line.strip_prefix("///     ") {
            fault = format!("{fault} {more}");
        } else if let Some((_, place)) = line.rsplit_once("// {") {
            places.push((format!("{{{place}"), format!("{file_name}:{number}")));
        } else if let Some(name) = line.strip_prefix("TWIN_KERNEL(") {
            for (place, position) in places.drain(..) {
                fault = fault.replace(&place, &position);
            }
            let name = name.trim_end_matches(')').to_owned();
            let fault = format!("{name}: {}", take(&mut fault));
            let blocks = std::mem::replace(&mut blocks, [1, 1]);
            let other = found.insert(name, Expected { fault, blocks });
            assert!(other.is_none(), "{file_name} has a name that is known");
        }
    }
}

fn expectations() -> BTreeMap<String, Expected> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "cpp") {
            read(&path, &mut found);
        }
    }
    found
}

/// The texts of faults, `runs` where there is none.
fn launch(right: bool) -> BTreeMap<String, String> {
    let expected = expectations();
    let mut texts = BTreeMap::new();
    for kernel in broken_kernels() {
        let mut memory = Memory::default();
        let x = memory.present(&[0; BYTES]);
        let y = memory.present(&[0; BYTES]);
        let z = memory.poisoned(BYTES as u64);
        let blocks = expected[kernel.name()].blocks[usize::from(right)];
        let mut launch = Launch::new("910B2", blocks, Modes::CHECKED);
        launch.buffer(x, 0).buffer(y, 0).buffer(z, 0);
        launch.value(&u32::from(right));
        let text = launch.run(*kernel, &mut memory).err();
        texts.insert(kernel.name().to_owned(), text.unwrap_or("runs".into()));
    }
    texts
}

#[test]
fn each_mistake_is_caught_where_it_is() {
    let (texts, expected) = (launch(false), expectations());
    assert!(texts.len() >= 30, "{} kernels are too few", texts.len());
    assert!(texts.keys().eq(expected.keys()));
    let mut wrong = String::new();
    for (name, text) in &texts {
        let fault = &expected[name].fault;
        if text != fault {
            wrong += &format!("have {text}\nwant {fault}\n\n");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn kernels_run_once_the_mistake_is_repaired() {
    let mut texts = launch(true);
    texts.retain(|_, text| text != "runs");
    assert_eq!(texts, BTreeMap::new());
}
