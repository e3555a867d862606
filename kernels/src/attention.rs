//! Attention: `attention`.

use crate::chip::Chip;
use crate::plan::{Bench, Operand, Plan};
use crate::vector;

/// The tiling (`ascendit-kernels/src/attention.rs.h`).
#[cxx::bridge]
mod ffi {
    /// Where the rows of a tensor `[outer, inner, token, head, channel]` lie, in elements; channels lie in one piece.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct AttentionStrides {
        /// From an outer batch row to the next.
        outer: u64,
        /// From an inner batch row to the next.
        inner: u64,
        /// From a token to the next.
        token: u64,
        /// From a head to the next.
        head: u64,
    }

    /// How `attention` divides its work.
    #[derive(Clone, Copy, Debug)]
    struct AttentionTiling {
        /// Queries.
        q: AttentionStrides,
        /// Keys.
        k: AttentionStrides,
        /// Values.
        v: AttentionStrides,
        /// Output.
        out: AttentionStrides,
        /// Bytes of the workspace of a core.
        workspace: u64,
        /// Batch rows in all.
        batch: u32,
        /// Batch rows of an outer one.
        inner_batch: u32,
        /// Heads.
        heads: u32,
        /// Queries of a head.
        queries: u32,
        /// Keys of a head.
        keys: u32,
        /// Channels of a head.
        head_dim: u32,
        /// Factor of the scores.
        scale: f32,
        /// Whether a query sees only the keys up to its own position.
        causal: u32,
        /// Whether scores pass from cube to vector cores as f16.
        half_scores: u32,
        /// Queries of a block.
        block: u32,
        /// Blocks of a group at most.
        group: u32,
        /// How often a core gets `group` blocks, before the rest is shared.
        rounds: u32,
        /// Keys of a stack.
        stack: u32,
        /// Rows of scores that leave the cube at a time.
        score_rows: u32,
        /// How many such parts L0C holds.
        score_slots: u32,
        /// Keys that the cube multiplies at a time for scores.
        key_part: u32,
        /// Keys that it multiplies at a time for products.
        value_part: u32,
        /// Rows of scores that a vector core has at a time.
        vector_rows: u32,
        /// Rows of products that it has at a time.
        update_rows: u32,
        /// Zero.
        unused: u32,
    }
}

pub use ffi::{AttentionStrides, AttentionTiling};

// SAFETY: C layout, numbers only, no gaps.
unsafe impl bytemuck::NoUninit for AttentionTiling {}

impl AttentionStrides {
    /// Of `[outer, inner, tokens, heads, channels]` in one piece.
    pub fn contiguous([inner, tokens, heads, channels]: [u64; 4]) -> Self {
        let token = heads * channels;
        Self {
            outer: inner * tokens * token,
            inner: tokens * token,
            token,
            head: channels,
        }
    }
}

/// What restricts who sees whom.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Masks {
    /// There are lengths `i32 [B]`: a batch row sees so many of its first keys. Without any, its output is 0.
    pub lengths: bool,
    /// There is a summand to the scores, `f32 [B, Skv]`.
    pub bias: bool,
    /// A query sees the keys up to its own position.
    pub causal: bool,
}

/// One attention.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Batch rows: outer and inner, so that groups of tokens of a sequence can be batch rows.
    pub batch: [u64; 2],
    /// Heads.
    pub heads: u64,
    /// Queries of a head.
    pub queries: u64,
    /// Keys of a head.
    pub keys: u64,
    /// Channels of a head.
    pub head_dim: u64,
    /// Queries `[B, Sq, H, D]`.
    pub q: AttentionStrides,
    /// Keys `[B, Skv, H, D]`.
    pub k: AttentionStrides,
    /// Values `[B, Skv, H, D]`.
    pub v: AttentionStrides,
    /// Output `[B, Sq, H, D]`.
    pub out: AttentionStrides,
    /// Factor of the scores.
    pub scale: f32,
    /// Who sees whom.
    pub masks: Masks,
    /// Scores pass as f16, which is faster and adds an error of up to 2^-11 of a score to it.
    pub half_scores: bool,
}

impl Attention {
    /// All tensors in one piece and the usual scale.
    pub fn contiguous(batch: u64, heads: u64, queries: u64, keys: u64, head_dim: u64) -> Self {
        let q = AttentionStrides::contiguous([1, queries, heads, head_dim]);
        let k = AttentionStrides::contiguous([1, keys, heads, head_dim]);
        Self {
            batch: [batch, 1],
            heads,
            queries,
            keys,
            head_dim,
            q,
            k,
            v: k,
            out: q,
            scale: 1.0 / (head_dim as f32).sqrt(),
            masks: Masks::default(),
            half_scores: false,
        }
    }

    /// Pairs of a query and a key that it sees, if all lengths are full.
    fn pairs(&self) -> u64 {
        let seen = match self.masks.causal {
            true => {
                let within = self.queries.min(self.keys);
                within * (within + 1) / 2 + (self.queries - within) * self.keys
            }
            false => self.queries * self.keys,
        };
        self.batch[0] * self.batch[1] * self.heads * seen
    }
}

/// Bytes of the memories, without what is the system's.
const L1: u64 = 512 * 1024 - 256;
const L0C: u64 = 128 * 1024;
/// Half of L0A or L0B.
const L0_HALF: u64 = 32 * 1024;
/// As in `attention/jobs.h` and `attention/softmax.h`.
const TILE: u64 = 128;
const SCORE_STACKS: u64 = 3;
const STACKS: u64 = 4;
const IN_BYTES: u64 = 32 * 1024;
const OUT_BYTES: u64 = 16 * 1024;
/// Blocks of a group at most.
const GROUP: u64 = 4;
/// Keys of a stack at most: eight maxima of 64 scores each make one block.
const STACK: u64 = 512;
/// Rows that a vector core has at a time at most.
const VECTOR_ROWS: u64 = 16;

/// How blocks lie in the memories.
struct Fit {
    block: u64,
    /// Channels of a head in whole blocks, and with the panel of ones.
    depth: u64,
    width: u64,
    stack: u64,
    bias: bool,
}

impl Fit {
    fn l1(&self, group: u64) -> u64 {
        let tiles = (self.stack / TILE).max(2);
        2 * (group.max(2) * self.block * self.depth
            + 2 * tiles * TILE * self.depth
            + 2 * self.block * TILE)
    }

    fn unified_buffer(&self, group: u64) -> u64 {
        let sums = group * self.block / 2 * self.width;
        let small = VECTOR_ROWS * 80 + group * 128 + STACKS * 64 + 64 * 8;
        let bias = if self.bias { 2 * self.stack } else { 0 };
        2 * (IN_BYTES + OUT_BYTES) + 4 * (sums + small + bias)
    }

    fn fits(&self, group: u64) -> bool {
        self.l1(group) <= L1 && self.unified_buffer(group) <= vector::UNIFIED_BUFFER.into()
    }
}

/// Plans a launch; arguments `q, k, v, lengths or null, bias or null, out, workspace`.
///
/// # Errors
/// If an axis has no entries, heads are not a multiple of 8 channels up to 256, or the scale is not above 0.
pub fn plan(attention: &Attention, dtype: &str, chip: &Chip) -> Result<Plan, String> {
    let &Attention {
        batch: [outer, inner],
        heads,
        queries,
        keys,
        head_dim,
        scale,
        masks,
        ..
    } = attention;
    let sizes = [
        ("the outer batch", outer),
        ("the inner batch", inner),
        ("H", heads),
        ("Sq", queries),
        ("Skv", keys),
        ("D", head_dim),
    ];
    vector::check(&sizes, dtype)?;
    if head_dim % 8 != 0 || head_dim > 256 {
        return Err(format!(
            "a head has {head_dim} channels; multiples of 8 up to 256 are supported"
        ));
    }
    if !(scale > 0.0 && scale.is_finite()) {
        return Err(format!("the scale is {scale}; it must be above 0"));
    }
    let batch = vector::narrow("the batch", outer * inner)?;
    let depth = head_dim.next_multiple_of(16);
    let (width, block) = (depth + 16, if depth > 128 { 64 } else { 128 });
    let bias = masks.bias;
    let stacks = (1..=STACK.min(keys.next_multiple_of(TILE)) / TILE).rev();
    let mut fits = stacks.map(|tiles| Fit {
        block,
        depth,
        width,
        stack: tiles * TILE,
        bias,
    });
    let fit = fits
        .find(|fit| fit.fits(1))
        .ok_or("a head does not fit L1")?;

    let per_head = queries.div_ceil(block);
    let blocks = u64::from(batch) * heads * per_head;
    let cores = blocks.min(chip.cube_cores.into());
    let group = (1..=GROUP.min(per_head).min(blocks.div_ceil(cores)))
        .rev()
        .find(|&group| fit.fits(group));
    let group = group.unwrap_or(1);

    // Keys whose scores are computed together, and rows of them that leave L0C at a time.
    let key_part = if depth > 128 { 64 } else { TILE };
    let left = L0C - 4 * block * width;
    let score_rows = match key_part < TILE {
        true => block,
        false => {
            if left >= 2 * 64 * TILE * 4 {
                64
            } else {
                32
            }
        }
    };
    let score_slots = (left / (score_rows * TILE * 4)).min(4);
    let value_part = (L0_HALF / 2 / (2 * width) / 16 * 16).min(64);
    let value_part = TILE
        .div_ceil(TILE.div_ceil(value_part))
        .next_multiple_of(16);

    let stack = fit.stack * block;
    let score_bytes = if attention.half_scores { 2 } else { 4 };
    let workspace =
        SCORE_STACKS * stack * score_bytes + STACKS * stack * 2 + STACKS * block * width * 4;
    let tiling = AttentionTiling {
        q: attention.q,
        k: attention.k,
        v: attention.v,
        out: attention.out,
        workspace,
        batch,
        inner_batch: inner as u32,
        heads: vector::narrow("H", heads)?,
        queries: vector::narrow("Sq", queries)?,
        keys: vector::narrow("Skv", keys)?,
        head_dim: head_dim as u32,
        scale,
        causal: masks.causal.into(),
        half_scores: attention.half_scores.into(),
        block: block as u32,
        group: group as u32,
        rounds: vector::narrow("the number of rounds", blocks / (cores * group))?,
        stack: fit.stack as u32,
        score_rows: score_rows as u32,
        score_slots: score_slots as u32,
        key_part: key_part as u32,
        value_part: value_part as u32,
        vector_rows: VECTOR_ROWS as u32,
        update_rows: (IN_BYTES / 4 / width / 16 * 16).min(64) as u32,
        unused: 0,
    };
    let rows = u64::from(batch) * heads * head_dim;
    Ok(Plan {
        kernel: format!("attention_{dtype}"),
        blocks: cores as u32,
        tiling: bytemuck::bytes_of(&tiling).to_vec(),
        workspace: cores * workspace,
        flops: 4 * attention.pairs() * head_dim,
        bytes: 2 * rows * 2 * (queries + keys),
    })
}

/// `--shape B,H,SQ,SKV,D,HALF`: HALF is 1 for scores that pass as f16.
pub const BENCH: Bench = Bench {
    kernel: "attention",
    shape: "B,H,SQ,SKV,D,HALF",
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| {
        let &[batch, heads, queries, keys, head_dim, half] = shape else {
            return Err("six numbers are needed".into());
        };
        let mut attention = Attention::contiguous(batch, heads, queries, keys, head_dim);
        attention.half_scores = half != 0;
        let plan = plan(&attention, dtype, chip)?;
        let bytes = |tokens: u64| Operand::Absent(2 * batch * heads * tokens * head_dim);
        let operands = vec![
            bytes(queries),
            bytes(keys),
            bytes(keys),
            Operand::Null,
            Operand::Null,
            bytes(queries),
            Operand::Absent(plan.workspace),
        ];
        Ok((plan, operands))
    },
};
