/// out = softmax(scale q kᵀ + mask) v, per head, without ever storing the scores of more than a few stacks of keys.
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
