//! Plans for the Ascend 910B of models at their real sizes: what is launched, moved and kept. No
//! device is needed.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

use ascendit::backend::cann::lower::Target;
use ascendit::backend::cann::plan::Plan;
use ascendit::backend::cann::predict::{predict, workspace_bytes};
use ascendit::backend::cann::soc::{SOCS, Soc};
use ascendit::graph::{Graph, cost};
use ascendit::models::open_sora_plan_v1_3::{self, Shape, TextMask};
use ascendit::models::{Chunk, wf_vae};
use ascendit::tensor::DType;
use ascendit_kernels::Chip;

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
    let gb = |bytes: u64| bytes as f64 / 1e9;
    writeln!(
        text,
        "{} launches move {:.1} GB; {} of them only move elements, {:.1} GB; \
         for {} CANN copies an operand first, {:.1} GB more",
        counts.launches,
        gb(plan.moved_bytes()),
        counts.copies,
        gb(counts.copied_bytes),
        counts.hidden_copies,
        gb(counts.hidden_bytes),
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

/// A step. The copies that are left: rotary embedding exchanges the halves of q's and k's heads
/// (two copies to their places each; the halves are strided, so CANN copies them first), its tables are
/// made once per order of tokens, each block that groups tokens otherwise than the one before puts them
/// into its order, and patches and modulation are rearranged at the ends.
const STEP: &str = "\
aclnnAdd: 65, 18694.5 MB
aclnnAddcmul: 128, 75002.6 MB
aclnnAddmm: 327, 143669.8 MB
aclnnAdds: 65, 2.4 MB
aclnnCast: 73, 116.1 MB
aclnnCat: 7, 97.3 MB
aclnnCos: 1, 0.0 MB
aclnnGeluV2: 33, 49837.8 MB
aclnnInplaceCopy: 128, 24914.2 MB
aclnnLayerNorm: 130, 25305.8 MB
aclnnMul: 65, 25173.7 MB
aclnnMuls: 3, 24.3 MB
aclnnPermute: 33, 11305.7 MB
aclnnPromptFlashAttentionV3: 64, 37673.2 MB
aclnnSilu: 2, 0.1 MB
aclnnSin: 1, 0.0 MB
copies in embed: aclnnCat 1, 0.0 MB
copies in embed: aclnnPermute 2, 10.8 MB
copies in head: aclnnPermute 1, 5.4 MB
copies in transformer_blocks: aclnnPermute 30, 11289.5 MB
copies in transformer_blocks.attn1: aclnnCat 6, 97.3 MB
copies in transformer_blocks.attn1: aclnnInplaceCopy 128, 24914.2 MB
1125 launches move 411.8 GB; 168 of them only move elements, 36.3 GB; for 128 CANN copies an operand first, 24.9 GB more
";

/// A chunk in the middle of a video. The copies that are left: normalisation runs over channels, so that
/// they are put last for it and back for the next convolution; frames of the chunk before, or repeated
/// first frames, are put before a convolution's input, and the frames that the next chunk needs are cut
/// out; wavelets rearrange blocks of pixels.
const DECODER: &str = "\
aclnnAdd: 17, 1291.9 MB
aclnnAddmm: 4, 59.8 MB
aclnnCast: 3, 32.8 MB
aclnnCat: 7, 224.8 MB
aclnnConvolution: 34, 3262.4 MB
aclnnInplaceCopy: 12, 122.3 MB
aclnnLayerNorm: 26, 1899.6 MB
aclnnMatmul: 3, 25.0 MB
aclnnMuls: 4, 57.7 MB
aclnnPermute: 108, 6989.5 MB
aclnnPromptFlashAttentionV3: 1, 28.8 MB
aclnnSilu: 25, 1885.1 MB
aclnnUpsampleNearest3d: 1, 144.2 MB
aclnnUpsampleTrilinear3d: 1, 72.1 MB
copies in connect_l1: aclnnCat 1, 0.0 MB
copies in connect_l1: aclnnInplaceCopy 4, 4.1 MB
copies in connect_l1: aclnnPermute 10, 233.4 MB
copies in connect_l2: aclnnCat 2, 0.8 MB
copies in connect_l2: aclnnInplaceCopy 1, 0.2 MB
copies in connect_l2: aclnnPermute 11, 41.0 MB
copies in layer: aclnnInplaceCopy 3, 24.3 MB
copies in layer: aclnnPermute 19, 2270.8 MB
copies in mid: aclnnCat 1, 0.5 MB
copies in mid: aclnnPermute 18, 335.2 MB
copies in up1: aclnnPermute 26, 2912.4 MB
copies in up2: aclnnCat 3, 223.5 MB
copies in up2: aclnnInplaceCopy 4, 93.7 MB
copies in up2: aclnnPermute 24, 1196.7 MB
246 launches move 16.1 GB; 127 of them only move elements, 7.3 GB; for 10 CANN copies an operand first, 0.1 GB more
";

/// A step with our own kernels: rotary embedding and attention read heads where they lie. Blocks that group
/// tokens otherwise than the one before still put them into their order.
const STEP_WITH_KERNELS: &str = "\
aclnnAdd: 33, 8.9 MB
aclnnAddmm: 327, 143669.8 MB
aclnnCast: 68, 43.2 MB
aclnnCat: 1, 0.0 MB
aclnnCos: 1, 0.0 MB
aclnnGeluV2: 33, 49837.8 MB
aclnnMul: 1, 0.0 MB
aclnnPermute: 33, 11305.7 MB
aclnnSilu: 2, 0.1 MB
aclnnSin: 1, 0.0 MB
ada_layer_norm_bf16: 65, 25305.8 MB
attention_bf16: 64, 37673.2 MB
gated_residual_bf16: 96, 56057.5 MB
rope_bf16: 64, 25433.2 MB
copies in embed: aclnnCat 1, 0.0 MB
copies in embed: aclnnPermute 2, 10.8 MB
copies in head: aclnnPermute 1, 5.4 MB
copies in transformer_blocks: aclnnPermute 30, 11289.5 MB
789 launches move 349.3 GB; 34 of them only move elements, 11.3 GB; for 0 CANN copies an operand first, 0.0 GB more
";

/// A chunk in the middle of a video with our own kernels, channels last. The copies that are left: the frames
/// that chunks hand on lie in the order of the graph, one half of a split of channels is brought into one
/// piece for its norm, and wavelets rearrange blocks of pixels.
const DECODER_WITH_KERNELS: &str = "\
aclnnAdd: 3, 26.7 MB
aclnnAddmm: 4, 59.8 MB
aclnnCast: 3, 32.8 MB
aclnnCat: 4, 29.7 MB
aclnnInplaceCopy: 12, 190.8 MB
aclnnMatmul: 3, 25.0 MB
aclnnMuls: 4, 57.7 MB
aclnnPermute: 63, 2119.4 MB
aclnnPromptFlashAttentionV3: 1, 28.8 MB
causal_conv3d_bf16: 34, 3166.7 MB
gated_residual_bf16: 2, 43.3 MB
norm_silu_bf16: 26, 1899.6 MB
upsample_bf16: 2, 216.3 MB
copies in connect_l1: aclnnCat 1, 0.0 MB
copies in connect_l1: aclnnInplaceCopy 5, 32.9 MB
copies in connect_l1: aclnnPermute 6, 63.1 MB
copies in connect_l2: aclnnCat 2, 0.8 MB
copies in connect_l2: aclnnInplaceCopy 2, 3.8 MB
copies in connect_l2: aclnnPermute 6, 15.8 MB
copies in layer: aclnnInplaceCopy 3, 24.3 MB
copies in layer: aclnnPermute 10, 620.0 MB
copies in mid: aclnnPermute 13, 166.3 MB
copies in up1: aclnnInplaceCopy 1, 115.3 MB
copies in up1: aclnnPermute 12, 749.7 MB
copies in up2: aclnnCat 1, 28.8 MB
copies in up2: aclnnInplaceCopy 1, 14.4 MB
copies in up2: aclnnPermute 16, 504.6 MB
161 launches move 7.9 GB; 79 of them only move elements, 2.3 GB; for 12 CANN copies an operand first, 0.2 GB more
";

/// All of CANN, and our own kernels.
fn with_kernels() -> Target {
    Target {
        kernels: Chip::find("910B2").copied(),
        ..Target::CANN
    }
}

#[test]
fn kernels_of_our_own_leave_few_copies() {
    let step = Plan::new(&open_sora_plan(), with_kernels());
    assert_eq!(summary(&step), STEP_WITH_KERNELS);
    is_tight(&step);
    let decoder = Plan::new(
        &wf_vae_decoder(Chunk {
            frames: 2,
            first: false,
            last: false,
        }),
        with_kernels(),
    );
    assert_eq!(summary(&decoder), DECODER_WITH_KERNELS);
    is_tight(&decoder);
}

#[test]
fn a_denoising_step_of_the_real_model_is_planned() {
    let plan = Plan::new(&open_sora_plan(), Target::CANN);
    assert_eq!(summary(&plan), STEP);
    is_tight(&plan);
}

#[test]
fn the_decoder_is_planned() {
    let chunk = |first, last, frames| Chunk {
        frames,
        first,
        last,
    };
    let middle = Plan::new(&wf_vae_decoder(chunk(false, false, 2)), Target::CANN);
    assert_eq!(summary(&middle), DECODER);
    // The chunks of a video of any length: the first, those in the middle, the last.
    for part in [
        chunk(true, false, 3),
        chunk(false, false, 2),
        chunk(false, true, 2),
    ] {
        is_tight(&Plan::new(&wf_vae_decoder(part), Target::CANN));
    }
}

#[test]
fn model_and_decoder_fit_a_card_of_64_gb_with_their_weights() {
    let step = open_sora_plan();
    let decoder = wf_vae_decoder(Chunk {
        frames: 2,
        first: false,
        last: false,
    });
    let bytes = |graph: &Graph| {
        let plan = Plan::new(graph, Target::CANN);
        let soc = Soc::find("910B2").expect("a chip");
        cost::weight_bytes(graph) + plan.arena_bytes as u64 + workspace_bytes(&plan, soc)
    };
    let both = cost::weight_bytes(&step) + bytes(&decoder);
    println!(
        "step {} bytes, decoder beside the transformer {both} bytes",
        bytes(&step)
    );
    assert!(bytes(&step).max(both) < 64 << 30);
}

#[test]
fn predictions_are_ranges_above_the_roofline() {
    let plan = Plan::new(&open_sora_plan(), Target::CANN);
    for soc in &SOCS {
        let seconds = predict(&plan, &HashMap::new(), soc);
        println!(
            "{}: {:.3} to {:.3} s",
            soc.name, seconds.roofline_s, seconds.calibrated_s
        );
        // Counted by hand in the published recipe: 298.4 TFLOP a step, all of them products.
        assert!(seconds.roofline_s > 298.4e12 / soc.peak().half_flops);
        assert!(seconds.calibrated_s > seconds.roofline_s);
    }
}

#[test]
fn without_the_operator_for_inference_attention_takes_others() {
    let without = Target {
        prompt_attention: false,
        ..Target::CANN
    };
    let plan = Plan::new(&open_sora_plan(), without);
    let count = |name: &str| {
        let launches = plan.launches.iter();
        launches.filter(|l| l.call.op.name() == name).count()
    };
    assert_eq!(count("aclnnPromptFlashAttentionV3"), 0);
    // Self attention sees all keys; cross attention has lengths, and is two products with scores in f32.
    assert_eq!(count("aclnnFlashAttentionScore"), 32);
    assert_eq!(count("aclnnBatchMatMul"), 64);
    is_tight(&plan);
}
