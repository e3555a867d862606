/// out = softmax(scale q kᵀ + mask) v, per head.
///
/// q, out [B, Sq, H, D], k, v [B, Skv, H, D] in f16 or bf16 with strides for batch (two levels), token and head; D is a multiple of 8
/// up to 256. Masks: keys behind a length per batch row, a bias [B, Skv] in f32, and causal, where query i sees keys up to i. Rows that see no
/// key are 0.
///
/// A block of 128 queries (64 if D > 128) goes through the keys in stacks. For each, the cube writes scores to the workspace, which
/// stays in the L2; the two vector cores read them, and write probabilities with respect to the largest score so far; the cube reads
/// these, adds up products with the stack's values in L0C and writes them; the vector cores rescale and add up products, and divide
/// at the end. Up to four blocks of a head make a group, which shares keys and values in L1. The cube's scores run three jobs ahead
/// of its products, so that neither side waits.
///
/// Sums of probabilities come out of the same product, by a panel of ones behind the values: they are sums of what was multiplied.
/// Maxima, sums and the output are f32; scores are, too, unless the tiling says f16, whose error src/attention.rs states.
///
/// Cycles for 128 x 128 scores at D = 96 with four blocks of a group and stacks of 896 keys, all cores of a 910B2 at work; the last
/// columns are what the L2 gives all cores, 87 bytes per cycle and core each way:
///
///                  M     MTE1   MTE2 AIC  FIX    V      MTE2 AIV  MTE3   L2 read  L2 write
///     f32 scores   872   669    480       1331   1150   480       350    1340     1200
///     f16 scores   872   669    480       870    760    285       350    975      840
///
/// M: 384 for q kᵀ, 448 for p [v 1], 10 for each instruction. FIX: 64 KiB of scores at 86 bytes per cycle, 1.5 for each row, about
/// 120 for each of two instructions, a seventh of the products. V, a core's half: maxima 128, subtraction 128, scale 128, exp 256, cast
/// 128, waits between dependent instructions about 250, products 60; with f16 scores all but exp take half. L2 read: scores 64,
/// probabilities 32, a quarter of keys and values 12, products 7 KiB. So with f32 scores reads of the L2 and FIX bound it, with f16
/// scores reads and M. What a tiling reads decides which one `plan` takes.
#include "products.h"
#include "softmax.h"

#ifdef ASCENDIT_TWIN
#include "entry.h"
#endif

using namespace AscendC;

namespace {

template <typename T, typename S>
__aicore__ inline void Run(GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR lengths, GM_ADDR bias, GM_ADDR out, GM_ADDR workspace,
                           const AttentionTiling &tiling)
{
    TPipe pipe;
    if ASCEND_IS_AIC {
        attention::Products<T, S> products(tiling, &pipe, q, k, v, lengths, workspace);
        products.Run();
    }
    if ASCEND_IS_AIV {
        attention::Softmax<T, S> softmax(tiling, &pipe, lengths, bias, out, workspace);
        softmax.Run();
    }
}

template <typename T>
__aicore__ inline void Attention(GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR lengths, GM_ADDR bias, GM_ADDR out, GM_ADDR workspace,
                                 const AttentionTiling &tiling)
{
    if (tiling.half_scores) Run<T, half>(q, k, v, lengths, bias, out, workspace, tiling);
    else Run<T, float>(q, k, v, lengths, bias, out, workspace, tiling);
}

} // namespace

extern "C" __global__ __aicore__ void attention_f16(GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR lengths, GM_ADDR bias, GM_ADDR out,
                                                    GM_ADDR workspace, AttentionTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    Attention<half>(q, k, v, lengths, bias, out, workspace, tiling);
}

extern "C" __global__ __aicore__ void attention_bf16(GM_ADDR q, GM_ADDR k, GM_ADDR v, GM_ADDR lengths, GM_ADDR bias, GM_ADDR out,
                                                     GM_ADDR workspace, AttentionTiling tiling)
{
    KERNEL_TASK_TYPE_DEFAULT(KERNEL_TYPE_MIX_AIC_1_2);
    Attention<bfloat16_t>(q, k, v, lengths, bias, out, workspace, tiling);
}

#ifdef ASCENDIT_TWIN
TWIN_KERNEL(attention_f16)
TWIN_KERNEL(attention_bf16)
#endif
