/// LoadData in its 3D form: an image in L1, [C1][H][W][C0] with C0 = 32 bytes of channels, becomes the matrix whose product with
/// weights is a convolution. A row of the matrix is an output pixel, a column one (C1, kernel row, kernel column, C0).
/// With a kernel of 1 x 1 it is a copy from Nz to L0.
#pragma once

#include "fractal.h"
#include "load.h"

namespace AscendC {

/// Does a LoadData set the image and the padding value itself?
struct IsResetLoad3dConfig {
    constexpr IsResetLoad3dConfig(bool fmatrix, bool padding) : isSetFMatrix(fmatrix), isSetPadding(padding) {}
    bool isSetFMatrix = true;
    bool isSetPadding = true;
};
constexpr IsResetLoad3dConfig IS_RESER_LOAD3D_DEFAULT_CONFIG = {true, true};

constexpr int32_t PAD_SIZE = 4;

template <typename T> struct LoadData3DParamsV2 {
    LoadData3DParamsV2() = default;
    LoadData3DParamsV2(const uint8_t padListIn[PAD_SIZE], twin::Field16 l1HIn, twin::Field16 l1WIn, twin::Field16 channelSizeIn,
                       twin::Field16 kExtensionIn, twin::Field16 mExtensionIn, twin::Field16 kStartPtIn, twin::Field16 mStartPtIn,
                       twin::Field8 strideWIn, twin::Field8 strideHIn, twin::Field8 filterWIn, twin::Field8 filterHIn,
                       twin::Field8 dilationFilterWIn, twin::Field8 dilationFilterHIn, bool enTransposeIn, bool enSmallKIn, T padValueIn,
                       bool filterSizeWIn = false, bool filterSizeHIn = false, bool fMatrixCtrlIn = false)
        : l1H(l1HIn), l1W(l1WIn), channelSize(channelSizeIn), kExtension(kExtensionIn), mExtension(mExtensionIn),
          kStartPt(kStartPtIn), mStartPt(mStartPtIn), strideW(strideWIn), strideH(strideHIn), filterW(filterWIn), filterH(filterHIn),
          dilationFilterW(dilationFilterWIn), dilationFilterH(dilationFilterHIn), enTranspose(enTransposeIn), enSmallK(enSmallKIn),
          padValue(padValueIn), filterSizeW(filterSizeWIn), filterSizeH(filterSizeHIn), fMatrixCtrl(fMatrixCtrlIn)
    {
        for (int i = 0; i < PAD_SIZE; ++i) padList[i] = padListIn[i];
    }

    uint8_t padList[PAD_SIZE] = {};  ///< left, right, top, bottom
    twin::Field16 l1H = 0, l1W = 0, channelSize = 0;
    twin::Field16 kExtension = 0, mExtension = 0;  ///< columns and rows of the matrix to load
    twin::Field16 kStartPt = 0, mStartPt = 0;
    twin::Field8 strideW = 1, strideH = 1, filterW = 1, filterH = 1, dilationFilterW = 1, dilationFilterH = 1;
    bool enTranspose = false;  ///< L0A gets the matrix turned
    bool enSmallK = false;
    T padValue{};
    bool filterSizeW = false, filterSizeH = false;  ///< 256 more
    bool fMatrixCtrl = false;                       ///< the image is that of FMATRIX_RIGHT
};

enum class FmatrixMode : uint8_t { FMATRIX_LEFT, FMATRIX_RIGHT };

inline void SetFmatrix(uint16_t l1H, uint16_t l1W, const uint8_t padList[4], const FmatrixMode &mode,
                       twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::S, "SetFmatrix", where);
    issue.only_on(twin::Kind::Cube);
    issue.limit("l1H", l1H, 1, 32767);
    issue.limit("l1W", l1W, 1, 32767);
    twin::CubeState::Image &image = issue.core.cube.images[mode == FmatrixMode::FMATRIX_RIGHT];
    image.height = l1H;
    image.width = l1W;
    for (int i = 0; i < 4; ++i) image.pad[i] = padList[i];
}

/// The value of padding, as bits of its type.
template <typename T> inline void SetLoadDataPaddingValue(const T padValue, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::S, "SetLoadDataPaddingValue", where);
    issue.only_on(twin::Kind::Cube);
    issue.core.cube.padding = 0;
    std::memcpy(&issue.core.cube.padding, &padValue, sizeof(T));
}

struct LoadDataRepeatParam {
    LoadDataRepeatParam() = default;
    LoadDataRepeatParam(twin::Field16 repeatStrideIn, twin::Field8 repeatTimeIn, twin::Field8 repeatModeIn)
        : repeatStride(repeatStrideIn), repeatTime(repeatTimeIn), repeatMode(repeatModeIn)
    {
    }
    twin::Field16 repeatStride = 0;
    twin::Field8 repeatTime = 1;
    twin::Field8 repeatMode = 0;
};

/// Only one repeat, which is no repetition: where further ones go is not documented well enough to compute it.
inline void SetLoadDataRepeat(const LoadDataRepeatParam &params, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::S, "SetLoadDataRepeat", where);
    issue.only_on(twin::Kind::Cube);
    issue.limit("repeatTime", params.repeatTime, 1, 1);
}

/// Reads at or beyond this byte of L1 start again at its first byte; 0: they do not.
inline void SetLoadDataBoundary(uint32_t boundaryValue, twin::Where where = twin::Where::here())
{
    twin::Issue issue(twin::Pipe::S, "SetLoadDataBoundary", where);
    issue.only_on(twin::Kind::Cube);
    if (boundaryValue) issue.limit("the boundary", boundaryValue, 1024, twin::bytes_of(twin::Space::L1));
    issue.core.cube.boundary = boundaryValue;
}

} // namespace AscendC

namespace twin {

/// A LoadData in its 3D form with its numbers worked out.
struct ImageLoad {
    uint32_t height, width, left, top;  ///< of the image, and its padding
    uint32_t output_width, pixels;      ///< of the output
    uint32_t stride_w, stride_h, filter_w, filter_h, dilation_w, dilation_h;
    uint32_t source, boundary;          ///< bytes of L1
    uint32_t columns, rows, first_column, first_row;  ///< columns in blocks of C0
    uint32_t element;                   ///< bytes
    uint64_t padding;

    /// The place in L1 of a 32-byte block of a row; false: it is padding.
    bool block(uint32_t row, uint32_t column, uint32_t &place) const
    {
        const uint32_t kx = column % filter_w, ky = column / filter_w % filter_h, c1 = column / (filter_w * filter_h);
        const int64_t y = static_cast<int64_t>(row / output_width) * stride_h + ky * dilation_h - top;
        const int64_t x = static_cast<int64_t>(row % output_width) * stride_w + kx * dilation_w - left;
        if (y < 0 || y >= height || x < 0 || x >= width) return false;
        uint64_t at = source + ((static_cast<uint64_t>(c1) * height + y) * width + x) * 32;
        if (boundary && at >= boundary) at -= boundary;
        place = static_cast<uint32_t>(at);
        return true;
    }
    /// Neighbouring output pixels from `row` on, at most `most`, whose blocks of `column` lie one after the other in L1, or are
    /// all padding.
    uint32_t run(uint32_t row, uint32_t column, uint32_t most, bool &inside, uint32_t &place) const
    {
        inside = block(row, column, place);
        const uint32_t rest = output_width - row % output_width;
        if (rest < most) most = rest;
        if (stride_w != 1 || boundary) return 1;
        const uint32_t kx = column % filter_w;
        const int64_t x = static_cast<int64_t>(row % output_width) + kx * dilation_w - left;
        if (inside) return width - x < most ? static_cast<uint32_t>(width - x) : most;
        const int64_t y = static_cast<int64_t>(row / output_width) * stride_h + column / filter_w % filter_h * dilation_h - top;
        if (y >= 0 && y < height && x < 0 && static_cast<uint32_t>(-x) < most) return static_cast<uint32_t>(-x);
        return most;
    }
};

/// `turned`: rows become columns within fractals. `pitch_row`, `pitch_column`: bytes from fractal to fractal in L0.
void load_image(Issue &issue, const ImageLoad &load, Space to, uint32_t destination, bool turned, uint64_t pitch_row, uint64_t pitch_column);

} // namespace twin

namespace AscendC {

template <typename T, const IsResetLoad3dConfig &config = IS_RESER_LOAD3D_DEFAULT_CONFIG>
inline void LoadData(const LocalTensor<T> &dst, const LocalTensor<T> &src, const LoadData3DParamsV2<T> &params,
                     twin::Where where = twin::Where::here())
{
    using namespace twin;
    if (config.isSetFMatrix)
        SetFmatrix(params.l1H, params.l1W, params.padList, params.fMatrixCtrl ? FmatrixMode::FMATRIX_RIGHT : FmatrixMode::FMATRIX_LEFT,
                   where);
    if (config.isSetPadding) SetLoadDataPaddingValue(params.padValue, where);
    Issue issue(Pipe::MTE1, "LoadData (3D)", where);
    issue.only_on(Kind::Cube);
    const Space to = dst.space();
    if (src.space() != Space::L1 || (to != Space::L0A && to != Space::L0B))
        issue.fault(text("goes from L1 to L0A or L0B, not from %s to %s", name(src.space()), name(to)));
    constexpr uint32_t C0 = c0<T>();
    issue.multiple("the destination's address", dst.start(), FRACTAL);
    issue.multiple("the source's address", src.start(), 32);
    // Channels that do not fill a block (4 or 8 more) have a layout of their own, which is not computed here.
    issue.multiple("channelSize", params.channelSize, C0);
    issue.limit("channelSize", params.channelSize, C0, 65535);
    issue.multiple("kExtension", params.kExtension, to == Space::L0B || params.enTranspose ? 16 : C0);
    issue.multiple("kStartPt", params.kStartPt, C0);
    issue.multiple("mExtension", params.mExtension, 16);
    issue.multiple("mStartPt", params.mStartPt, 16);
    issue.limit("mStartPt", params.mStartPt, 0, 32767);
    issue.limit("strideW", params.strideW, 1, 63);
    issue.limit("strideH", params.strideH, 1, 63);
    issue.limit("dilationFilterW", params.dilationFilterW, 1, 255);
    issue.limit("dilationFilterH", params.dilationFilterH, 1, 255);
    const bool turned = to == Space::L0B || params.enTranspose;
    if (turned && sizeof(T) != 2) issue.fault("turns 16-bit types only (into L0B always, into L0A with enTranspose)");
    if (to == Space::L0B && params.enTranspose) issue.fault("into L0B always turns; enTranspose is for L0A");

    const CubeState &state = issue.core.cube;
    const CubeState::Image &image = state.images[params.fMatrixCtrl];
    if (!image.height) issue.fault("has no image: call SetFmatrix before, or let the configuration set it");
    ImageLoad load{};
    load.filter_w = params.filterW + (params.filterSizeW ? 256 : 0);
    load.filter_h = params.filterH + (params.filterSizeH ? 256 : 0);
    issue.limit("filterW", load.filter_w, 1, 511);
    issue.limit("filterH", load.filter_h, 1, 511);
    load.height = image.height;
    load.width = image.width;
    load.left = image.pad[0];
    load.top = image.pad[2];
    load.stride_w = params.strideW;
    load.stride_h = params.strideH;
    load.dilation_w = params.dilationFilterW;
    load.dilation_h = params.dilationFilterH;
    const uint32_t reach_w = load.dilation_w * (load.filter_w - 1) + 1, reach_h = load.dilation_h * (load.filter_h - 1) + 1;
    const uint32_t padded_w = load.width + image.pad[0] + image.pad[1], padded_h = load.height + image.pad[2] + image.pad[3];
    if (padded_w < reach_w || padded_h < reach_h)
        issue.fault(text("has a kernel of %u x %u over an image of %u x %u with its padding", reach_h, reach_w, padded_h, padded_w));
    load.output_width = (padded_w - reach_w) / load.stride_w + 1;
    load.pixels = load.output_width * ((padded_h - reach_h) / load.stride_h + 1);
    load.rows = params.mExtension;
    load.columns = params.kExtension / C0;
    if (!load.rows || !load.columns) return;
    load.first_row = params.mStartPt;
    load.first_column = params.kStartPt / C0;
    const uint32_t all = params.channelSize / C0 * load.filter_w * load.filter_h;
    if (load.first_column + load.columns > all)
        issue.fault(text("loads columns %u..%u of a matrix that has %u", load.first_column * C0, (load.first_column + load.columns) * C0,
                         all * C0));
    load.source = src.start();
    load.boundary = state.boundary;
    load.padding = state.padding;
    load.element = sizeof(T);
    issue.within(Space::L1, load.boundary ? 0 : load.source, load.boundary ? load.boundary : params.channelSize / C0 * 32ull * load.height * load.width);
    const uint64_t bytes = static_cast<uint64_t>(load.rows) * load.columns * 32;
    issue.within(to, dst.start(), bytes);
    if (issue.checks() || issue.computes()) {
        // L0A: rows of fractals; turned, the columns of the matrix are the rows there. L0B: the rows of the matrix are K.
        const uint64_t across = static_cast<uint64_t>(load.columns) * FRACTAL, along = load.rows / 16 * static_cast<uint64_t>(FRACTAL);
        if (params.enTranspose)
            load_image(issue, load, to, dst.start(), true, FRACTAL, along);
        else
            load_image(issue, load, to, dst.start(), turned, across, FRACTAL);
    }
    issue.take(cost::load_image(to, bytes));
}

} // namespace AscendC
