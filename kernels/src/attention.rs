//! Attention: `attention`.

use crate::chip::Chip;
use crate::plan::{Bench, Operand, Plan, Timed};
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
        /// Bytes of a buffer of the unified buffer for scores or products.
        in_bytes: u32,
        /// Bytes of the unified buffer in all.
        vector_bytes: u32,
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
    /// Scores pass as f16, which is faster. It changes a score `q k` by up to 2^-12 of it, and scores above 65504 before the factor
    /// are too large. Mean square error over mean square of the output for normal scores of deviation 1.3 times the factor of
    /// scores: about 8e-7 for f16 (7e-8 with f32 scores), 5.2e-6 for bf16 (4.4e-6); 4e-5 for f16 with deviation 85.
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
const UNIFIED_BUFFER: u64 = 192 * 1024 - 256;
/// A quarter of L0A or L0B.
const L0_QUARTER: u64 = 16 * 1024;
/// As in `attention/jobs.h`.
const TILE: u64 = 128;
const SCORE_STACKS: u64 = 3;
const STACKS: u64 = 4;
/// Blocks of a group, keys of a stack and rows in the unified buffer at most.
const GROUP: u64 = 4;
const STACK: u64 = 1024;
const VECTOR_ROWS: u64 = 64;
/// Rows of products in the unified buffer at least.
const UPDATE_ROWS: u64 = 16;

/// What of a shape decides how it lies in the memories.
struct Shape {
    keys: u64,
    /// Queries of a block.
    block: u64,
    /// Channels of a head in whole blocks of 16.
    depth: u64,
    /// Blocks of queries that a core has.
    blocks: f64,
    /// Blocks of a head.
    per_head: u64,
    /// Bytes of a score on its way.
    score: u64,
    /// Whether exponents are f32 though scores are f16.
    widens: bool,
    bias: bool,
}

/// How many there are of what.
#[derive(Clone, Copy)]
struct Choice {
    /// Blocks of a group.
    group: u64,
    /// Keys of a stack.
    stack: u64,
    /// Rows of scores in the unified buffer.
    rows: u64,
}

impl Shape {
    /// Values of a row of sums: channels, and the sum of probabilities eight times.
    fn width(&self) -> u64 {
        self.depth + 8
    }

    fn l1(&self, c: Choice) -> u64 {
        let tiles = (c.stack / TILE).max(2);
        2 * (c.group.max(2) * self.block * self.depth
            + 2 * tiles * TILE * self.depth
            + 2 * self.block * TILE)
    }

    fn in_bytes(&self, c: Choice) -> u64 {
        (c.rows * c.stack * self.score)
            .max(UPDATE_ROWS * self.width() * 4)
            .next_multiple_of(1024)
    }

    /// As `attention/softmax.h` and `attention/probabilities.h` divide it.
    fn unified_buffer(&self, c: Choice) -> u64 {
        let buffers = 2 * self.in_bytes(c) + self.in_bytes(c) / self.score * 2;
        let mut rows = c.rows * (512 + 32)
            + (c.rows * 4).next_multiple_of(32)
            + (c.rows * self.score).next_multiple_of(32);
        if self.widens {
            rows += 4 * c.rows * c.stack;
        }
        if self.bias && self.score == 2 {
            rows += 2 * c.stack;
        }
        let sums = 4 * c.group * (self.block / 2) * self.width();
        let bias = if self.bias { 8 * c.stack } else { 0 };
        (buffers + rows).next_multiple_of(512)
            + 256
            + sums
            + c.group * 512
            + STACKS * 256
            + 64 * 32
            + bias
    }

    fn fits(&self, c: Choice) -> bool {
        self.l1(c) <= L1 && self.unified_buffer(c) <= UNIFIED_BUFFER
    }

    /// Cycles for a tile of 128 x 128 scores, roughly: what is read from the L2, and what vector cores do. Only comparisons count.
    fn cost(&self, c: Choice) -> f64 {
        /// What a core reads in a cycle when all do.
        const L2: f64 = 87.0;
        /// Passes over a tile's scores, and what a piece of rows takes besides.
        const PASSES: [f64; 2] = [450.0, 900.0];
        const PIECE: f64 = 200.0;
        let tile = (TILE * TILE) as f64;
        let stacks = self.keys.div_ceil(c.stack) as f64;
        let keys = self.keys as f64;
        let groups = (self.blocks / c.group as f64).ceil() / self.blocks;
        let key_values = 4.0 * (self.depth * TILE) as f64 * groups * (TILE / self.block) as f64;
        let products = 4.0 * (self.width() * TILE) as f64 * stacks * TILE as f64 / keys;
        let read = tile * (self.score + 2) as f64 + key_values + products;
        let passes = PASSES[usize::from(self.score == 4 || self.widens)];
        let vector = stacks * c.stack as f64 / keys * passes
            + PIECE * tile / 2.0 / (c.rows * c.stack.min(self.keys)) as f64;
        // Until cores work side by side, and when they end, they wait for each other for about three jobs.
        let waits = 1.0 + 3.0 / (self.blocks * stacks);
        ((read / L2).max(vector) + vector / 10.0) * waits
    }

    /// The best of all that fit.
    fn choose(&self) -> Option<Choice> {
        let groups = 1..=GROUP.min(self.blocks.ceil() as u64).min(self.per_head);
        let stacks = 1..=STACK.min(self.keys.next_multiple_of(TILE)) / TILE;
        let rows = [8, 16, 32, VECTOR_ROWS];
        let choices = groups.flat_map(|group| {
            stacks.clone().flat_map(move |tiles| {
                rows.map(|rows| Choice {
                    group,
                    stack: tiles * TILE,
                    rows,
                })
            })
        });
        let fitting = choices.filter(|&c| c.rows <= self.block / 2 && self.fits(c));
        fitting.min_by(|&a, &b| self.cost(a).total_cmp(&self.cost(b)))
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
    let score = if attention.half_scores { 2 } else { 4 };
    let per_head = queries.div_ceil(block);
    let blocks = u64::from(batch) * heads * per_head;
    let cores = blocks.min(chip.cube_cores.into());
    let shape = Shape {
        keys,
        block,
        depth,
        blocks: blocks as f64 / cores as f64,
        per_head,
        score,
        widens: attention.half_scores && dtype == "bf16",
        bias: masks.bias,
    };
    let choice = shape
        .choose()
        .ok_or("a head does not fit the memories of a core")?;

    // Keys whose scores are computed together, and rows of them that leave L0C at a time.
    let key_part = if depth > 128 { 64 } else { TILE };
    let left = L0C - 4 * block * width;
    let score_rows = match key_part < TILE {
        true => block,
        false if left >= 2 * 64 * TILE * 4 => 64,
        false => 48,
    };
    let score_slots = (left / (score_rows * TILE * 4)).min(4);
    // Keys whose products are computed together, as many in each part as in the others.
    let value_part = (L0_QUARTER / (2 * width) / 16 * 16).min(64);
    let value_part = TILE
        .div_ceil(TILE.div_ceil(value_part))
        .next_multiple_of(16);
    let update_rows = (shape.in_bytes(choice) / 4 / shape.width() / 16 * 16).min(block / 2);
    let update_rows = if (block / 4..block / 2).contains(&update_rows) {
        block / 4
    } else {
        update_rows
    };

    let stack = choice.stack * block;
    let workspace = SCORE_STACKS * stack * score + STACKS * stack * 2 + STACKS * block * width * 4;
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
        group: choice.group as u32,
        rounds: vector::narrow("the number of rounds", blocks / (cores * choice.group))?,
        stack: choice.stack as u32,
        score_rows: score_rows as u32,
        score_slots: score_slots as u32,
        key_part: key_part as u32,
        value_part: value_part as u32,
        vector_rows: choice.rows as u32,
        update_rows: update_rows as u32,
        in_bytes: shape.in_bytes(choice) as u32,
        vector_bytes: shape.unified_buffer(choice) as u32,
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

/// `--shape B,H,S,D` or `B,H,SQ,SKV,D`, each operand in one piece as `[B, S, H, D]`, with scores in f32.
pub const BENCH: Bench = Bench {
    kernel: "attention",
    shape: SHAPE,
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| timed(shape, false, dtype, chip),
};

/// The same with scores in f16.
pub const HALF_SCORES: Bench = Bench {
    kernel: "attention_half_scores",
    shape: SHAPE,
    dtypes: &["f16", "bf16"],
    plan: |shape, dtype, chip| timed(shape, true, dtype, chip),
};

const SHAPE: &str = "B,H,S,D or B,H,SQ,SKV,D";

fn timed(shape: &[u64], half_scores: bool, dtype: &str, chip: &Chip) -> Result<Timed, String> {
    let (batch, heads, queries, keys, head_dim) = match *shape {
        [batch, heads, tokens, head_dim] => (batch, heads, tokens, tokens, head_dim),
        [batch, heads, queries, keys, head_dim] => (batch, heads, queries, keys, head_dim),
        _ => return Err(format!("the shape is {SHAPE}")),
    };
    let mut attention = Attention::contiguous(batch, heads, queries, keys, head_dim);
    attention.half_scores = half_scores;
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
}
