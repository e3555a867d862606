//! `inspect`.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

use ascendit::checkpoint::{Checkpoint, Overrides};
use ascendit::models::DenoiserShape;
use ascendit::tensor::DType;
use serde_json::{Map, Value, json};

use crate::program::{Place, repository, safetensors};

const DESCRIPTION: &str = "\
demo

component     class             dtype  parameters     size  licence     directory
transformer   OpenSoraT2V_v1_3  f16        5.13 M  10.3 MB  apache-2.0  demo/transformer
vae           WFVAEModel        f16        7.92 M  15.8 MB  apache-2.0  demo/vae
text_encoder  MT5EncoderModel   f16      558.08 k   1.1 MB  apache-2.0  demo/text_encoder

tokenizer demo/tokenizer
scheduler EulerAncestralDiscreteScheduler
defaults 17 frames of 64x64 at 8 per second, 30 steps, guidance 3, 32 text tokens, no prompt template

a generation: 17 frames of 64x64, 30 steps, guided, 32 text tokens, 2 latent frames decoded at once

cpu, f32  runs     FLOP  weights  activations  in memory
encode       2  66.67 M   2.2 MB     131.1 kB     2.4 MB
denoise     30  44.50 G  20.5 MB       1.2 MB    21.7 MB
decode       2  19.28 G  22.8 MB       6.1 MB    49.5 MB
in all 63.85 GFLOP, peak memory about 49.5 MB (at least 6.1 MB, slower, with weights left in their files)
";

const TEXT_ENCODER: &str = "\
directory   demo/text_encoder
class       MT5EncoderModel
tensors     30
parameters  558.08 k
\x20           558.08 k in f16
size        1.1 MB
licence     apache-2.0
metadata    format: pt

largest tensors
tensor                                              type               size
shared.weight                                       f16[512, 128]  131.1 kB
encoder.block.0.layer.1.DenseReluDense.wi_0.weight  f16[256, 128]   65.5 kB
encoder.block.0.layer.1.DenseReluDense.wi_1.weight  f16[256, 128]   65.5 kB
encoder.block.0.layer.1.DenseReluDense.wo.weight    f16[128, 256]   65.5 kB
encoder.block.1.layer.1.DenseReluDense.wi_0.weight  f16[256, 128]   65.5 kB
";

#[test]
fn a_checkpoint_is_described_with_its_costs() {
    let place = Place::new();
    place.demo();
    let ran = place.run("inspect demo --device cpu");
    assert_eq!(ran.stderr, "");
    assert_eq!(ran.stdout, DESCRIPTION);
}

#[test]
fn a_components_directory_and_a_file_are_described_alone() {
    let place = Place::new();
    place.demo();
    assert_eq!(place.run("inspect demo/text_encoder").stdout, TEXT_ENCODER);
    let file = place.run("inspect demo/text_encoder/model.safetensors --tensors");
    assert_eq!(file.code, Some(0));
    let lines: Vec<&str> = file.stdout.lines().collect();
    assert_eq!(lines[0], "file        demo/text_encoder/model.safetensors");
    let tensors: Vec<&str> = lines
        .into_iter()
        .skip_while(|line| !line.is_empty())
        .collect();
    // An empty line, the head, and all tensors.
    assert_eq!(tensors.len(), 2 + 30);
}

#[test]
fn sizes_of_a_generation_can_be_asked_for() {
    let place = Place::new();
    let demo = repository("assets/demo").display().to_string();
    let cost = |args: &str| {
        let ran = place.run(&format!("inspect {demo} --json --device cuda {args}"));
        let report: Value = serde_json::from_str(&ran.stdout).expect(&ran.stderr);
        report["costs"][0].clone()
    };
    let (small, large) = (cost(""), cost("--size 128x128 --frames 33 --steps 60"));
    assert_eq!(small["device"], "cuda:0");
    assert_eq!(small["dtype"], "bf16");
    let flops =
        |cost: &Value, stage: usize| cost["stages"][stage]["flops"].as_u64().expect("flops");
    // Text does not grow, steps double, and 17 frames to 33 of four times the size is about eightfold.
    assert_eq!(flops(&small, 0), flops(&large, 0));
    assert!(flops(&large, 1) > 2 * 7 * flops(&small, 1));
    assert!(flops(&large, 2) > 6 * flops(&small, 2));
    assert!(flops(&large, 2) < 9 * flops(&small, 2));
    // Frames are decoded in chunks: memory grows with the size only.
    let memory = |cost: &Value| {
        cost["stages"][2]["activation_bytes"]
            .as_u64()
            .expect("bytes")
    };
    assert!(memory(&large) > 3 * memory(&small) && memory(&large) < 5 * memory(&small));
}

#[test]
fn the_plan_for_a_chip_is_shown_without_one() {
    let place = Place::new();
    let demo = repository("assets/demo").display().to_string();
    let report = |flags: &str| -> Value {
        let ran = place.run(&format!(
            "inspect {demo} --device cann --soc 910B4 --json {flags}"
        ));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        serde_json::from_str(&ran.stdout).expect("JSON")
    };
    let (report, without) = (report(""), report("--kernels off"));
    let plan = &report["plans"][0];
    assert_eq!(
        (&plan["chip"], &plan["dtype"]),
        (&"910B4".into(), &"bf16".into())
    );
    assert_eq!(plan["memory_bytes"], 32u64 << 30);
    assert_eq!(plan["peak_bytes"], report["costs"][0]["peak_bytes"]);
    let denoise = &plan["programs"][1];
    assert_eq!(
        (&denoise["stage"], &denoise["runs"]),
        (&"denoise".into(), &30.into())
    );
    // Eight blocks with self and cross attention.
    let operators = &denoise["operators"];
    assert_eq!(operators["attention_bf16"]["launches"], 16);
    assert!(operators["aclnnPromptFlashAttentionV3"].is_null());
    let operators = &without["plans"][0]["programs"][1]["operators"];
    assert_eq!(operators["aclnnPromptFlashAttentionV3"]["launches"], 16);
    assert!(operators["attention_bf16"].is_null());
    let seconds = |end: &str| plan["predicted"][end].as_f64().expect("seconds");
    assert!(seconds("roofline_s") > 0.0 && seconds("roofline_s") < seconds("calibrated_s"));

    let text = place.run(&format!("inspect {demo} --device cann")).stdout;
    assert!(text.contains("plan for 910B2, bf16"), "{text}");
    assert!(
        text.trim_end().ends_with(
            "counted from operations and bytes (roofline to calibrated); nothing was measured on a chip"
        ),
        "{text}"
    );
    // Other devices run no plans.
    let text = place.run(&format!("inspect {demo} --device cpu")).stdout;
    assert!(!text.contains("plan for"), "{text}");
}

#[test]
fn graphs_are_printed_in_their_text_form() {
    let place = Place::new();
    place.demo();
    let ran = place.run("inspect demo --graph encode --text-tokens 7");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "# encode, 2 times",
            "%0 = input(input_ids) : i64[1, 7]",
            "%1 = input(attention_mask) : f32[1, 7]",
        ]
    );
    assert!(
        lines
            .last()
            .expect("lines")
            .starts_with("output last_hidden_state = %")
    );
    let all = place.run("inspect demo --graph").stdout;
    let heads: Vec<&str> = all.lines().filter(|line| line.starts_with('#')).collect();
    assert_eq!(
        heads,
        [
            "# encode, 2 times",
            "# denoise, 30 times",
            "# decode, 1 time",
            "# decode, 1 time"
        ]
    );
}

/// A checkpoint like the demo with a transformer of the released size, as holes in a file.
fn huge(place: &Place) -> u64 {
    place.demo();
    let config = "demo/transformer/config.json";
    for (key, value) in [
        ("num_attention_heads", 24),
        ("attention_head_dim", 96),
        ("cross_attention_dim", 2304),
        ("num_layers", 32),
    ] {
        place.set(config, key, json!(value));
    }
    let checkpoint = Checkpoint::open(Some(&place.path("demo")), &Overrides::default())
        .expect("the checkpoint opens");
    let shape = DenoiserShape {
        batch: 1,
        latent: [1, 2, 2],
        text: 1,
    };
    let graph = checkpoint.transformer.model.graph(&shape, DType::BF16);
    let mut header = Map::new();
    let mut end = 0;
    for weight in &graph.weights {
        if header.contains_key(&weight.name) {
            continue;
        }
        let start = end;
        end += 2 * weight.file_shape.iter().product::<usize>() as u64;
        let info = json!({
            "dtype": "BF16",
            "shape": weight.file_shape,
            "data_offsets": [start, end],
        });
        header.insert(weight.name.clone(), info);
    }
    let path = "demo/transformer/diffusion_pytorch_model.safetensors";
    let head = safetensors(&header, &[]);
    place.write(path, &head);
    sparse(&place.path(path), head.len() as u64 + end);
    end
}

fn sparse(path: &Path, length: u64) {
    let file = File::options().write(true).open(path).expect("the file");
    file.set_len(length).expect("a file with holes");
}

#[test]
fn a_huge_checkpoint_is_inspected_at_once_in_little_memory() {
    let place = Place::new();
    let bytes = huge(&place);
    assert!(bytes > 5_000_000_000, "{bytes}");

    let quickest = (0..3).map(|_| {
        let start = Instant::now();
        let ran = place.run("inspect demo");
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        start.elapsed()
    });
    let quickest = quickest.min().expect("three runs");
    assert!(quickest < Duration::from_secs(1), "{quickest:?}");

    if cfg!(target_os = "linux") {
        // More than a pipe holds: the program waits with all of its work done.
        let mut child = place.start(&["inspect", "demo", "--tensors", "--json"]);
        let mut stdout = child.stdout.take().expect("a pipe");
        let mut start = [0; 1];
        stdout.read_exact(&mut start).expect("output");
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id()));
        let status = status.expect("the program still runs");
        let mut rest = vec![];
        stdout.read_to_end(&mut rest).expect("output");
        assert!(rest.len() > 1 << 16);
        assert!(child.wait().expect("an end").success());
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: u64 = peak
            .and_then(|peak| peak.split_whitespace().next()?.parse().ok())
            .expect("a peak");
        assert!(kib < 100_000, "{kib} KiB");
    }
}
