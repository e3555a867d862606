//! Plans for the Ascend 910B of models at their real sizes: what is launched, moved and kept. No
//! device is needed.

use std::collections::BTreeMap;
use std::fmt::Write;

use ascendit::backend::cann::plan::Plan;
use ascendit::backend::cann::predict::predict;
use ascendit::backend::cann::soc::SOCS;
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

/// Operators by name with how often each is launched and the bytes that it moves.
fn summary(plan: &Plan) -> String {
    let mut by_name: BTreeMap<&str, (usize, u64)> = BTreeMap::new();
    for launch in &plan.launches {
        let entry = by_name.entry(launch.call.op.name()).or_default();
        entry.0 += 1;
        entry.1 += launch.call.bytes();
    }
    let mut text = String::new();
    for (name, (count, bytes)) in by_name {
        writeln!(text, "{name} {count} {:.1} MB", bytes as f64 / 1e6).unwrap();
    }
    let counts = plan.counts();
    writeln!(
        text,
        "{} launches, {:.1} GB moved, {} copies of {:.1} GB, arena {:.1} MB for {:.1} MB alive at once",
        counts.launches,
        plan.moved_bytes() as f64 / 1e9,
        counts.copies,
        counts.copied_bytes as f64 / 1e9,
        plan.arena_bytes as f64 / 1e6,
        plan.live_bytes as f64 / 1e6,
    )
    .unwrap();
    text
}

#[test]
fn a_denoising_step_of_the_real_model_is_planned() {
    let plan = Plan::new(&open_sora_plan(), true);
    println!("{}", summary(&plan));
    for soc in &SOCS {
        let seconds = predict(&plan, soc);
        println!(
            "{} {:.3} to {:.3} s",
            soc.name, seconds.roofline_s, seconds.calibrated_s
        );
    }
    assert!(plan.arena_bytes as f64 <= 1.10 * plan.live_bytes as f64);
}

#[test]
fn the_decoder_is_planned_and_its_arena_does_not_grow_with_the_video() {
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
        assert!(plan.arena_bytes as f64 <= 1.10 * plan.live_bytes as f64);
    }
}
