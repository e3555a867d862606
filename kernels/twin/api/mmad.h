/// Mmad: products of matrices on the cube, and its modes.
#pragma once

#include "fractal.h"
#include "field.h"

namespace AscendC {

struct MmadParams {
    MmadParams() = default;
    MmadParams(twin::Field16 mIn, twin::Field16 nIn, twin::Field16 kIn, bool isBiasIn, int32_t fmOffsetIn, bool enSsparseIn,
               bool enWinogradAIn, bool enWinogradBIn)
        : m(mIn), n(nIn), k(kIn), isBias(isBiasIn), fmOffset(fmOffsetIn), enSsparse(enSsparseIn), enWinogradA(enWinogradAIn),
          enWinogradB(enWinogradBIn)
    {
    }
    MmadParams(twin::Field16 mIn, twin::Field16 nIn, twin::Field16 kIn, twin::Field8 unitFlagIn, bool cmatrixSourceIn, bool cmatrixInitValIn)
        : m(mIn), n(nIn), k(kIn), unitFlag(unitFlagIn), cmatrixSource(cmatrixSourceIn), cmatrixInitVal(cmatrixInitValIn)
    {
    }

    twin::Field16 m = 0, n = 0, k = 0;
    bool isBias = false;  ///< C starts from what it holds
    int32_t fmOffset = 0;
    bool enSsparse = false, enWinogradA = false, enWinogradB = false;
    twin::Field8 unitFlag = 0;  ///< 2: C is not finished, 3: hand it to the fixpipe
    bool kDirectionAlign = false;
    bool cmatrixSource = false;
    bool cmatrixInitVal = true;  ///< C starts from 0
};

/// f32 operands are rounded to HF32 first, which is twice as fast.
inline void SetHF32Mode(bool on, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::S, "SetHF32Mode", where);
    issue.only_on(twin::Kind::Cube);
    issue.core.cube.hf32 = on;
}

/// How that rounding treats ties; off: to even.
inline void SetHF32TransMode(bool towardZero, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::S, "SetHF32TransMode", where);
    issue.only_on(twin::Kind::Cube);
    issue.core.cube.hf32_toward_zero = towardZero;
}

/// The order in which the cube goes through C, which no result depends on.
inline void SetMMLayoutTransform(bool, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::S, "SetMMLayoutTransform", where);
    issue.only_on(twin::Kind::Cube);
}

} // namespace AscendC

namespace twin {

/// A Mmad after its types are known. `Start`: what C starts from.
struct MmadCall {
    Element element;
    uint32_t size;  ///< bytes of an input element
    uint32_t m, n, k;
    uint32_t a, b, c, bias;  ///< bytes in L0A, L0B, L0C, BT
    enum Start : uint8_t { Zero, Held, Bias } start;
    uint8_t unit_flag;
};
void mmad(Issue &issue, const MmadCall &call);

template <typename A> constexpr Element element_of(bool hf32)
{
    if (std::is_same_v<A, half>) return Element::Half;
    if (std::is_same_v<A, bfloat16_t>) return Element::Bf16;
    if (std::is_same_v<A, int8_t>) return Element::Int8;
    return hf32 ? Element::Hf32 : Element::Float;
}

} // namespace twin

namespace AscendC {

template <typename D, typename A, typename B>
inline void MmadCheck(const twin::Issue &issue, const LocalTensor<D> &dst, const LocalTensor<A> &a, const LocalTensor<B> &b,
                      const MmadParams &params)
{
    using namespace twin;
    static_assert(std::is_same_v<A, B> && (std::is_same_v<A, int8_t> ? std::is_same_v<D, int32_t> : std::is_same_v<D, float>),
                  "Mmad: half, bfloat16_t and float give float, int8_t gives int32_t");
    static_assert(std::is_same_v<A, int8_t> || std::is_same_v<A, half> || std::is_same_v<A, bfloat16_t> || std::is_same_v<A, float>,
                  "Mmad: half, bfloat16_t, float and int8_t are multiplied");
    issue.only_on(Kind::Cube);
    if (dst.space() != Space::L0C || a.space() != Space::L0A || b.space() != Space::L0B)
        issue.fault(text("multiplies L0A by L0B into L0C, not %s by %s into %s", name(a.space()), name(b.space()), name(dst.space())));
    issue.multiple("the result's address", dst.start(), 1024);
    issue.multiple("the left matrix's address", a.start(), FRACTAL);
    issue.multiple("the right matrix's address", b.start(), FRACTAL);
    issue.limit("m", params.m, 0, 4095);
    issue.limit("n", params.n, 0, 4095);
    issue.limit("k", params.k, 0, 4095);
    if (params.m == 1) issue.fault("m is 1: the cube would read the left matrix as one vector (GEMV); use m 16");
    if (params.unitFlag == 1 || params.unitFlag > 3) issue.fault(text("unitFlag is %u, and must be 0, 2 or 3", +params.unitFlag));
    if (params.kDirectionAlign || params.enSsparse || params.enWinogradA || params.enWinogradB || params.fmOffset)
        issue.fault("kDirectionAlign, sparse, Winograd and fmOffset are not for kernels that the twin runs");
}

template <typename D, typename A, typename B>
inline void Mmad(const LocalTensor<D> &dst, const LocalTensor<A> &fm, const LocalTensor<B> &filter, const MmadParams &params,
                 twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::M, "Mmad", where);
    MmadCheck(issue, dst, fm, filter, params);
    const bool zero = params.cmatrixInitVal && !params.isBias;
    if (!zero && params.cmatrixSource) issue.fault("cmatrixSource needs the form of Mmad that takes a bias");
    twin::mmad(issue, {twin::element_of<A>(issue.core.cube.hf32), sizeof(A), params.m, params.n, params.k, fm.start(), filter.start(),
                       dst.start(), 0, zero ? twin::MmadCall::Zero : twin::MmadCall::Held, params.unitFlag});
}

/// C starts from a row of the bias table, the same for all rows.
template <typename D, typename A, typename B, typename Bias>
inline void Mmad(const LocalTensor<D> &dst, const LocalTensor<A> &fm, const LocalTensor<B> &filter, const LocalTensor<Bias> &bias,
                 const MmadParams &params, twin::Where where = twin::Where::here())
{
    static_assert(std::is_same_v<Bias, D>, "Mmad: the bias has the result's type");
    twin::Issue issue(twin::Pipe::M, "Mmad", where);
    MmadCheck(issue, dst, fm, filter, params);
    if (bias.space() != twin::Space::BT) issue.fault(twin::text("takes a bias from BT, not from %s", twin::name(bias.space())));
    issue.multiple("the bias's address", bias.start(), 128);
    if (params.cmatrixInitVal) issue.fault("cmatrixInitVal is true, so C would start from 0 and not from the bias");
    twin::mmad(issue, {twin::element_of<A>(issue.core.cube.hf32), sizeof(A), params.m, params.n, params.k, fm.start(), filter.start(),
                       dst.start(), bias.start(), twin::MmadCall::Bias, params.unitFlag});
}

} // namespace AscendC
