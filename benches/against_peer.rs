//! The engine against PyTorch on the same weights, in turn on the same cores.
//!
//! ```text
//! python benches/peers/transformer_step.py --write-weights DIR
//! PEER_PYTHON=python cargo bench --bench against_peer -- open-sora-plan-v1.3-t2v DIR benches/peers/transformer_step.py 9
//! ```
//!
//! Prints seconds of both sides, the ratio peer / engine of each pair as median and lower quartile, and
//! the largest difference of the outputs. The device is `cpu`, or `BENCH_DEVICE`.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use ascendit::backend::{Watch, open};
use ascendit::cancel::Cancel;
use ascendit::models::config::read_json;
use ascendit::tensor::{DType, HostTensor};
use ascendit::verify;
use ascendit::weights::{OpenOptions, Weights};

const USAGE: &str = "usage: cargo bench --bench against_peer -- ARCH DIR PEER.py [RUNS]";

fn main() {
    // cargo passes --bench to every bench; `cargo bench` without arguments only compiles this one's case.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let [arch, dir, peer, rest @ ..] = args.as_slice() else {
        eprintln!("{USAGE}");
        return;
    };
    let runs = rest.first().map_or(9, |runs| runs.parse().expect(USAGE));
    compare(arch, Path::new(dir), Path::new(peer), runs);
}

fn compare(arch: &str, dir: &Path, peer: &Path, runs: usize) {
    let device = std::env::var("BENCH_DEVICE").unwrap_or_else(|_| "cpu".into());
    let threads = std::num::NonZeroUsize::new(2);
    let options = open::Options {
        threads,
        ..open::Options::default()
    };
    let backend = open::open(
        Some(device.parse().expect("a device")),
        &options,
        &Cancel::new(),
    )
    .expect("the device opens");
    let weights =
        Weights::open(&dir.join("weights.safetensors"), &OpenOptions::default()).expect("weights");
    let case = dir.join("case-bench.safetensors");
    let tensors = read(&case);
    let config_path = dir.join("config.json");
    let config = read_json(&config_path).expect("a config");
    let parts = verify::prepare(arch, &config_path, &config, &case, &tensors, DType::F32)
        .expect("the case fits");
    let part = parts.last().expect("a graph");
    let weights = backend.load(Arc::new(weights)).expect("weights load");
    let mut program = backend
        .compile(&part.graph, &weights)
        .expect("the graph compiles");
    let cancel = Cancel::new();
    let mut run = || {
        let inputs = part
            .inputs
            .iter()
            .map(|t| backend.upload(t).expect("upload"))
            .collect();
        let began = Instant::now();
        let outputs = program
            .run(inputs, &Watch::quiet(&cancel))
            .expect("it runs");
        backend.synchronize().expect("it finishes");
        (began.elapsed().as_secs_f64(), outputs)
    };
    let (_, outputs) = run();
    let got = backend.download(&outputs[0]).expect("download");
    let output = &part.graph.outputs[0].name;
    let outcome = verify::compare(
        "bench".into(),
        output.clone(),
        &got,
        &tensors[&format!("out.{output}")],
        verify::Limits::of(DType::F32),
    );
    println!(
        "{}: largest difference {:.1e}, nmse {:.1e}",
        backend.info().description,
        outcome.max_abs,
        outcome.nmse
    );

    let mut peer = Peer::start(peer, dir);
    let (mut ours, mut theirs) = (vec![], vec![]);
    for _ in 0..runs {
        theirs.push(peer.run());
        ours.push(run().0);
    }
    let mut ratios: Vec<f64> = theirs.iter().zip(&ours).map(|(t, o)| t / o).collect();
    for (name, seconds) in [
        ("engine", &mut ours),
        ("peer", &mut theirs),
        ("peer / engine", &mut ratios),
    ] {
        seconds.sort_by(f64::total_cmp);
        println!(
            "{name}: median {:.3}, lower quartile {:.3}, min {:.3}, max {:.3} ({runs} runs)",
            seconds[runs / 2],
            seconds[runs / 4],
            seconds[0],
            seconds[runs - 1]
        );
    }
}

fn read(case: &Path) -> BTreeMap<String, HostTensor> {
    let file = Weights::open(case, &OpenOptions::default()).expect("a case file");
    let masks = |name: &&str| !name.ends_with("attention_mask");
    file.names()
        .filter(masks)
        .map(|name| (name.to_owned(), file.read(name).expect("a tensor")))
        .collect()
}

/// A peer's process: one line in, one run, its seconds out.
struct Peer {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Peer {
    fn start(script: &Path, dir: &Path) -> Self {
        let python =
            std::env::var_os("PEER_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from);
        let mut child = Command::new(python)
            .arg(script)
            .arg("--weights")
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("PEER_PYTHON starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut peer = Self { child, lines };
        println!("peer: {}", peer.line().trim());
        peer
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("the peer answers");
        line
    }

    fn run(&mut self) -> f64 {
        self.child
            .stdin
            .as_mut()
            .expect("a pipe")
            .write_all(b"\n")
            .expect("the peer listens");
        let answer: serde_json::Value = serde_json::from_str(&self.line()).expect("JSON");
        answer["seconds"].as_f64().expect("seconds")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
