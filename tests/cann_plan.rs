//! Plans for the Ascend 910B of models at their real sizes: what is launched, moved and kept. No
//! device is needed.

use std::collections::BTreeMap;
use std::fmt::Write;

use ascendit::backend::cann::plan::Plan;
use ascendit::graph::Graph;
use ascendit::models::open_sora_plan_v1_3::{self, Shape, TextMask};
use ascendit::models::{Chunk, wf_vae};
use ascendit::tensor::DType;

/// Open-Sora Plan v1.3.0 as released, 93 frames of 352x640 with guidance, 512 text tokens.
fn open_sora_plan() -> Graph {
    let config = open_sora_plan_v1_3::Config {
        num_attention_heads: 24,
        attention_head_dim: 96,
        num_layers: 32,
        activation_fn: "gelu-approximate".into(),
        sparse1d: true,
        sparse_n: 4,
        ..open_sora_plan_v1_3::Config::default()
    };
    let shape = Shape {
        batch: 2,
        latent: [24, 44, 80],
        text: 512,
        text_mask: TextMask::Lengths,
        latent_mask: false,
    };
    open_sora_plan_v1_3::transformer(&config, &shape, DType::BF16)
}

/// The released WF-VAE's decoder, one chunk of 352x640.
fn wf_vae_decoder(chunk: Chunk) -> Graph {
    let mut config = wf_vae::Config::default();
    config.norm_type = "layernorm".into();
    config.t_interpolation = "trilinear".into();
    wf_vae::decoder(&config, chunk, [1, 44, 80], DType::BF16)
}

/// Operators with how often each is launched and the bytes that it moves, then the launches that only
/// move elements by their place in a block, and the arena.
fn summary(plan: &Plan) -> String {
    let mut operators: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    let mut copies: BTreeMap<(String, &str), (usize, u64)> = BTreeMap::new();
    for launch in &plan.launches {
        let count = |entry: &mut (usize, u64)| {
            entry.0 += 1;
            entry.1 += launch.call.bytes();
        };
        let name = launch.call.op.name();
        count(operators.entry(name).or_default());
        if launch.call.op.is_copy() {
            let scope = &plan.graph.scopes[launch.scope as usize].path;
            let place: Vec<&str> = scope
                .split('.')
                .filter(|part| part.parse::<usize>().is_err())
                .collect();
            count(copies.entry((place.join("."), name)).or_default());
        }
    }
    let mut text = String::new();
    let mb = |bytes: u64| bytes as f64 / 1e6;
    for (name, (count, bytes)) in operators {
        writeln!(text, "{name}: {count}, {:.1} MB", mb(bytes)).unwrap();
    }
    for ((place, name), (count, bytes)) in copies {
        writeln!(
            text,
            "copies in {place}: {name} {count}, {:.1} MB",
            mb(bytes)
        )
        .unwrap();
    }
    let counts = plan.counts();
    writeln!(
        text,
        "{} launches move {:.1} GB, {} of them only move elements: {:.1} GB",
        counts.launches,
        plan.moved_bytes() as f64 / 1e9,
        counts.copies,
        counts.copied_bytes as f64 / 1e9,
    )
    .unwrap();
    text
}

/// The arena is at most a tenth larger than what is alive at once.
fn is_tight(plan: &Plan) {
    let (arena, live) = (plan.arena_bytes as f64, plan.live_bytes as f64);
    println!(
        "arena {:.1} MB, alive at once {:.1} MB",
        arena / 1e6,
        live / 1e6
    );
    assert!(arena <= 1.10 * live, "{arena} for {live}");
}

#[test]
fn a_denoising_step_of_the_real_model_is_planned() {
    let plan = Plan::new(&open_sora_plan(), true);
    println!("{}", summary(&plan));
    is_tight(&plan);
}

#[test]
fn the_decoder_is_planned() {
    let chunk = |first, last, frames| Chunk {
        frames,
        first,
        last,
    };
    for part in [
        chunk(true, false, 3),
        chunk(false, false, 2),
        chunk(false, true, 2),
    ] {
        let plan = Plan::new(&wf_vae_decoder(part), true);
        println!("{part:?}\n{}", summary(&plan));
        is_tight(&plan);
    }
}
