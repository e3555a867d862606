/// What a core computes, job by job: cube and vector cores of a core go through the same list.
///
/// The rows of queries of one head are cut into blocks. All blocks of all heads make one list, which is dealt to the cores: `rounds`
/// times `group` blocks to each, then what is left in equal parts. Blocks of one head that a core gets in a row are a group and share
/// keys and values: a job is one block with one stack of keys, and jobs go through the stacks and, in each, through the group's blocks.
#pragma once

#include "kernel_operator.h"

#include "ascendit-kernels/src/attention.rs.h"

namespace attention {

/// Keys that go through L0 at a time.
constexpr uint32_t TILE = 128;
/// By how many jobs the scores run ahead of the products with values, and those ahead of the update of the output.
constexpr uint32_t AHEAD = 3;
/// Stacks of scores, probabilities and products that are in the workspace at a time. Scores of job i take the place of those of job
/// i - AHEAD, whose probabilities are awaited first; probabilities and products are read until another job later.
constexpr uint32_t SCORE_STACKS = AHEAD, STACKS = AHEAD + 1;
/// Cross-core flags: scores are there, probabilities are there, products are there.
constexpr uint16_t SCORES = 0, PROBABILITIES = 1, PRODUCTS = 2;

__aicore__ inline uint32_t Least(uint32_t a, uint32_t b) { return a < b ? a : b; }
__aicore__ inline uint32_t Up(uint32_t value, uint32_t unit) { return (value + unit - 1) / unit * unit; }

/// Where the rows of a head begin in a tensor, in elements.
struct Place {
    uint64_t start;
    uint64_t token;  ///< from token to token
};

__aicore__ inline Place PlaceOf(const AttentionStrides &strides, uint32_t outer, uint32_t inner, uint32_t head)
{
    return {outer * strides.outer + inner * strides.inner + head * strides.head, strides.token};
}

/// Blocks of one head that a core has in a row.
struct Group {
    uint32_t outer, inner, head;  ///< batch row by two indices, and head
    uint32_t batch;
    uint32_t row;     ///< first query
    uint32_t blocks;
    uint32_t keys;    ///< that may be seen
};

/// The groups of a core, one after the other.
class Groups {
public:
    __aicore__ inline Groups(const AttentionTiling &tiling, GM_ADDR lengths, uint32_t core, uint32_t cores)
        : t(tiling), bounded(lengths != nullptr), core(core), cores(cores)
    {
        if (bounded) limits.SetGlobalBuffer(reinterpret_cast<__gm__ int32_t *>(lengths));
        per_head = (t.queries + t.block - 1) / t.block;
    }

    __aicore__ inline bool Next(Group &group)
    {
        while (at == end) {
            if (round > t.rounds) return false;
            const uint64_t dealt = static_cast<uint64_t>(t.rounds) * cores * t.group;
            if (round < t.rounds) {
                at = (static_cast<uint64_t>(round) * cores + core) * t.group;
                end = at + t.group;
            } else {
                const uint64_t left = static_cast<uint64_t>(t.batch) * t.heads * per_head - dealt;
                at = dealt + left * core / cores;
                end = dealt + left * (core + 1) / cores;
            }
            ++round;
        }
        const uint64_t index = at / per_head;
        const uint32_t first = static_cast<uint32_t>(at - index * per_head);
        const uint64_t have = end - at;
        group.blocks = Least(t.group, per_head - first);
        if (have < group.blocks) group.blocks = static_cast<uint32_t>(have);
        at += group.blocks;
        group.batch = static_cast<uint32_t>(index / t.heads);
        group.head = static_cast<uint32_t>(index % t.heads);
        group.outer = group.batch / t.inner_batch;
        group.inner = group.batch % t.inner_batch;
        group.row = first * t.block;
        group.keys = t.keys;
        if (bounded) {
            const int32_t limit = limits.GetValue(group.batch);
            group.keys = limit <= 0 ? 0 : Least(t.keys, static_cast<uint32_t>(limit));
        }
        return true;
    }

private:
    const AttentionTiling &t;
    AscendC::GlobalTensor<int32_t> limits;
    const bool bounded;
    const uint32_t core, cores;
    uint32_t per_head, round = 0;
    uint64_t at = 0, end = 0;
};

/// One block of queries with one stack of keys.
struct Job {
    uint32_t index;  ///< of this core
    uint32_t block;  ///< in its group
    uint32_t row;    ///< first query
    uint32_t rows;
    uint32_t stack;  ///< of keys
    uint32_t key;    ///< first key
    uint32_t width;  ///< keys that at least one of the queries sees
    uint32_t tiles;
    bool first, last;  ///< stack of the block
    bool opens;        ///< first job with this stack
};

/// The jobs of a core, one after the other. Groups that see no keys have none.
class Jobs {
public:
    __aicore__ inline Jobs(const AttentionTiling &tiling, GM_ADDR lengths, uint32_t core, uint32_t cores)
        : t(tiling), groups(tiling, lengths, core, cores)
    {
        group.blocks = 0;
        key = 0;
        block = 0;
        job.index = ~0u;
        Next();
    }

    bool valid = true;
    Group group;
    Job job;

    __aicore__ inline void Next()
    {
        bool opens = false;
        for (;;) {
            if (block == group.blocks) {
                block = 0;
                key += t.stack;
                opens = true;
                if (group.blocks == 0 || key >= Seen(group.blocks - 1)) {
                    do {
                        valid = groups.Next(group);
                        if (!valid) return;
                    } while (group.keys == 0);
                    key = 0;
                }
            }
            const uint32_t seen = Seen(block);
            if (key < seen) {
                ++job.index;
                job.block = block;
                job.row = group.row + block * t.block;
                job.rows = Least(t.block, t.queries - job.row);
                job.stack = key / t.stack;
                job.key = key;
                job.width = Least(t.stack, seen - key);
                job.tiles = (job.width + TILE - 1) / TILE;
                job.first = key == 0;
                job.last = key + t.stack >= seen;
                job.opens = opens;
                ++block;
                return;
            }
            ++block;
        }
    }

private:
    const AttentionTiling &t;
    Groups groups;
    uint32_t key, block;

    /// Keys that a block sees.
    __aicore__ inline uint32_t Seen(uint32_t which) const
    {
        if (!t.causal) return group.keys;
        const uint32_t end = group.row + (which + 1) * t.block;
        return Least(group.keys, Least(end, t.queries));
    }
};

/// The workspace of a core.
struct Workspace {
    uint64_t scores, probabilities, products;  ///< bytes from the start of the workspace

    __aicore__ inline Workspace(const AttentionTiling &t, uint32_t core)
    {
        const uint64_t stack = static_cast<uint64_t>(t.block) * t.stack;
        scores = core * t.workspace;
        probabilities = scores + SCORE_STACKS * stack * (t.half_scores ? 2 : 4);
        products = probabilities + STACKS * stack * 2;
    }
};

} // namespace attention
