// The output of blocks of groups whose statistics are known.

#if defined(GROUPNORM_KERNELS_NORMALIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_NORMALIZE_INL_H_
#undef GROUPNORM_KERNELS_NORMALIZE_INL_H_
#else
#define GROUPNORM_KERNELS_NORMALIZE_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/affine-inl.h"
#include "kernels/blocks.h"
#include "kernels/column_sums-inl.h"
#include "kernels/element_loops-inl.h"
#include "kernels/forward_plan.h"
#include "kernels/single.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// The output of a run of elements of one group, which begins at `position`
/// within the first channel of `parameters`.
template <class Affine, typename T>
HWY_NOINLINE void NormalizeRun(const T* x, T* y, std::int64_t count,
                               std::int64_t spatial, std::int64_t position,
                               const Statistics& statistics,
                               Parameters parameters, const Traffic& traffic) {
  using D = typename Affine::Lanes;
  // Channels shorter than a vector are worked on as a row of single elements.
  const bool as_row = spatial < static_cast<std::int64_t>(hn::MaxLanes(D()));
  const std::int64_t max_channels =
      as_row ? kMaxColumns / spatial : kMaxColumns;
  while (count > 0) {
    const std::int64_t channels =
        std::min(max_channels, (position + count - 1) / spatial + 1);
    Affine affine;
    affine.Set(0, channels, statistics, parameters);
    parameters.weight += channels;
    parameters.bias += channels;
    std::int64_t done = 0;
    if (!as_row) {
      for (std::int64_t c = 0; c < channels; ++c) {
        const std::int64_t n = std::min(spatial - position, count - done);
        MapRun<D>(x + done, y + done, n, traffic, affine.OfColumn(c));
        done += n;
        position = 0;
      }
    } else {
      done = std::min(channels * spatial - position, count);
      if (spatial == 1) {
        MapRun<D>(x, y, done, traffic, affine.OfRow(0));
      } else {
        Affine elements;
        for (std::int64_t c = 0; c < channels; ++c) {
          elements.Repeat(affine, c, c * spatial, (c + 1) * spatial);
        }
        MapRun<D>(x, y, done, traffic, elements.OfRow(position));
      }
      position = 0;
    }
    x += done;
    y += done;
    count -= done;
  }
}

/// Rows whose output is computed side by side, so that the coefficients are
/// loaded once for all.
inline constexpr std::int64_t kOutputRows = 4;

/// The output of rows of `width` columns, kOutputRows of them at a time. Where
/// `kStream`, rows of `y` are whole cache lines. Returns the rows that it
/// computed.
template <bool kStream, class Affine, typename T>
HWY_NOINLINE std::int64_t NormalizeRowsSideBySide(
    const T* HWY_RESTRICT x, T* HWY_RESTRICT y, std::int64_t rows,
    std::int64_t width, std::int64_t stride, const Affine& affine) {
  using D = typename Affine::Lanes;
  const D d;
  constexpr auto kVector = static_cast<std::int64_t>(hn::MaxLanes(D()));
  if (width < kVector) return 0;
  constexpr std::int64_t kStep = kRowStep<kStream, T, kVector>;
  const RowsAhead<T, kStep, kOutputRows> ahead(width, stride);
  std::int64_t row = 0;
  for (; row + kOutputRows <= rows; row += kOutputRows) {
    const auto columns = [&](std::int64_t c) HWY_ATTR {
      ahead.Fetch(x, c);
#pragma GCC unroll 4
      for (std::int64_t r = 0; r < kOutputRows; ++r) {
#pragma GCC unroll 4
        for (std::int64_t v = 0; v < kStep; v += kVector) {
          const auto map = affine.OfVector(c + v);
          const std::int64_t i = r * stride + c + v;
          if constexpr (kStream) {
            StreamAs(d, map(LoadAs(d, x + i)), y + i);
          } else {
            StoreAs(d, map(LoadAs(d, x + i)), y + i);
          }
        }
      }
    };
    std::int64_t c = 0;
    for (; c + kStep <= width; c += kStep) columns(c);
    if (c < width) columns(width - kStep);
    x += kOutputRows * stride;
    y += kOutputRows * stride;
  }
  return row;
}

#if HWY_TARGET != HWY_SCALAR
/// The same of bfloat16 in pairs, where the output is finite.
template <bool kStream>
HWY_NOINLINE std::int64_t NormalizeRowsInPairs(
    const Bfloat16* HWY_RESTRICT x, Bfloat16* HWY_RESTRICT y, std::int64_t rows,
    std::int64_t width, std::int64_t stride, const SingleAffine& affine) {
  SingleAffine pairs;
  for (std::int64_t c = 0; c < width; c += kPairs) {
    pairs.SetPairs(c, affine, std::min(c, width - kPairs));
  }
  constexpr std::int64_t kStep = kRowStep<kStream, Bfloat16, kPairs>;
  const RowsAhead<Bfloat16, kStep, kOutputRows> ahead(width, stride);
  std::int64_t row = 0;
  for (; row + kOutputRows <= rows; row += kOutputRows) {
    for (std::int64_t next = 0; next < width; next += kStep) {
      const std::int64_t c = std::min(next, width - kStep);
      ahead.Fetch(x, c);
#pragma GCC unroll 4
      for (std::int64_t r = 0; r < kOutputRows; ++r) {
#pragma GCC unroll 2
        for (std::int64_t v = 0; v < kStep; v += kPairs) {
          const auto even_map = pairs.OfVector(next + v);
          const auto odd_map = pairs.OfVector(next + v + kSingles);
          const std::int64_t i = r * stride + c + v;
          SingleVector even, odd;
          LoadPairs(x + i, even, odd);
          StorePairs<kStream>(RoundPairs(even_map(even), odd_map(odd)), y + i);
        }
      }
    }
    x += kOutputRows * stride;
    y += kOutputRows * stride;
  }
  return row;
}
#endif

/// The output of as many rows as are computed side by side.
template <bool kStream, class Affine, typename T>
HWY_INLINE std::int64_t NormalizeRows(const T* x, T* y, std::int64_t rows,
                                      std::int64_t width, std::int64_t stride,
                                      const Affine& affine) {
#if HWY_TARGET != HWY_SCALAR
  if constexpr (std::is_same_v<T, Bfloat16> &&
                std::is_same_v<Affine, SingleAffine>) {
    if (width >= kPairs) {
      return NormalizeRowsInPairs<kStream>(x, y, rows, width, stride, affine);
    }
  }
#endif
  return NormalizeRowsSideBySide<kStream>(x, y, rows, width, stride, affine);
}

/// Calls `map(i, count)` for the vectors of doubles of `num_channels` values.
template <class Map>
HWY_INLINE void ForEachVector(std::int64_t num_channels, const Map& map) {
  std::int64_t i = 0;
  for (; i + kDoubles <= num_channels; i += kDoubles) map(i, kDoubles);
  if (i < num_channels) map(i, num_channels - i);
}

/// The output of a group without spatial extents, whose channels all have
/// coefficients of their own: x scale + shift in float64. False where a
/// coefficient is out of range; the output is then unspecified.
template <typename T>
HWY_NOINLINE bool NormalizeChannels(const T* HWY_RESTRICT x, T* HWY_RESTRICT y,
                                    std::int64_t num_channels,
                                    const Statistics& statistics,
                                    Parameters parameters) {
  const Doubles d;
  const hn::Rebind<float, Doubles> singles;
  const auto rstd = hn::Set(d, statistics.rstd);
  const auto mean = hn::Set(d, -statistics.mean);
  const auto max_factor = hn::Set(d, kMaxSingleFactor);
  auto fit = hn::Eq(rstd, rstd);
  ForEachVector(num_channels, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    const auto scale = hn::Mul(rstd, LoadUpTo(d, parameters.weight + i, count));
    const auto shift =
        MulAdd(d, mean, scale, LoadUpTo(d, parameters.bias + i, count));
    fit = hn::And(fit, hn::And(hn::Le(hn::Abs(scale), max_factor),
                               hn::Le(hn::Abs(shift), max_factor)));
    const auto output = MulAdd(d, LoadUpTo(d, x + i, count), scale, shift);
    StoreUpTo(singles, hn::DemoteTo(singles, output), y + i, count);
  });
  return hn::AllTrue(d, fit);
}

/// The same of float64: DoubleAffine without its arrays.
HWY_NOINLINE inline void NormalizeDoubles(const double* HWY_RESTRICT x,
                                          double* HWY_RESTRICT y,
                                          std::int64_t num_channels,
                                          const Statistics& statistics,
                                          Parameters parameters) {
  const Doubles d;
  const auto mean = hn::Set(d, statistics.mean);
  const auto mean_lo = hn::Set(d, statistics.mean_lo);
  const auto rstd = hn::Set(d, statistics.rstd);
  ForEachVector(num_channels, [&](std::int64_t i, std::int64_t count) HWY_ATTR {
    const auto output =
        DoubleAffine::Apply(LoadUpTo(d, x + i, count), mean, mean_lo, rstd,
                            LoadUpTo(d, parameters.weight + i, count),
                            LoadUpTo(d, parameters.bias + i, count));
    StoreUpTo(d, output, y + i, count);
  });
}

/// The output of the columns from `begin` to `end` of a tile, of whole groups
/// that `normalizers` belong to.
template <class Affine, typename T>
HWY_NOINLINE void NormalizeColumns(const T* x, T* y, const Block& tile,
                                   std::int64_t begin, std::int64_t end,
                                   std::int64_t group_size,
                                   const Normalizer* normalizers,
                                   const Parameters& parameters,
                                   const Traffic& traffic) {
  using D = typename Affine::Lanes;
  Block part = tile;
  part.width = end;
  for (std::int64_t column = begin; column < end; column += kMaxColumns) {
    const Columns columns = ColumnsOf(part, column);
    Affine affine;
    for (std::int64_t c = 0; c < columns.width;) {
      const std::int64_t group = (column + c) / group_size;
      const std::int64_t next =
          std::min(columns.width, (group + 1) * group_size - column);
      affine.Set(
          c, next, normalizers[group].statistics,
          {parameters.weight + column + c, parameters.bias + column + c});
      c = next;
    }
    affine.FoldColumns(columns);
    const std::int64_t stride = columns.fold * columns.stride;
    const std::int64_t rows = columns.rows / columns.fold;
    const std::int64_t width = columns.folded_width();
    const bool whole_lines =
        ElementsToLine(y + columns.offset) == 0 &&
        width * sizeof(T) % kCacheLine == 0 &&
        (stride * sizeof(T) % kCacheLine == 0 || rows == 1);
    std::int64_t row = 0;
    if (!traffic.stream) {
      row = NormalizeRows<false>(x + columns.offset, y + columns.offset, rows,
                                 width, stride, affine);
    } else if (whole_lines) {
      row = NormalizeRows<true>(x + columns.offset, y + columns.offset, rows,
                                width, stride, affine);
    }
    std::int64_t i = columns.offset + row * stride;
    for (; row < rows; ++row) {
      MapRun<D>(x + i, y + i, columns.folded_width(), traffic, affine.OfRow(0));
      i += stride;
    }
    const std::int64_t rest = columns.rows % columns.fold * columns.width;
    if (rest > 0) MapRun<D>(x + i, y + i, rest, traffic, affine.OfRow(0));
  }
}

/// Calls NormalizeColumns for the groups of a tile, in runs of those that are
/// normalised alike.
template <typename T>
void NormalizeTile(const T* x, T* y, const Block& tile, std::int64_t group_size,
                   const Normalizer* normalizers, const Parameters& parameters,
                   const Traffic& traffic) {
  const std::int64_t num_groups = tile.width / group_size;
  for (std::int64_t group = 0; group < num_groups;) {
    const bool in_single = normalizers[group].in_single;
    std::int64_t end = group + 1;
    while (end < num_groups && normalizers[end].in_single == in_single) ++end;
    if constexpr (!std::is_same_v<T, double>) {
      if (in_single) {
        NormalizeColumns<SingleAffine>(x, y, tile, group * group_size,
                                       end * group_size, group_size,
                                       normalizers, parameters, traffic);
      }
    }
    if (!in_single) {
      NormalizeColumns<DoubleAffine>(x, y, tile, group * group_size,
                                     end * group_size, group_size, normalizers,
                                     parameters, traffic);
    }
    group = end;
  }
}

/// The output of a block of a panel. `normalizers` are those of the panel's
/// groups, weight and bias those of all channels.
template <typename T>
void NormalizeBlock(const Blocks& blocks, const T* input, T* output,
                    const Block& block, const Normalizer* normalizers,
                    const Parameters& parameters, const Traffic& traffic) {
  const Parameters first = {parameters.weight + block.channel,
                            parameters.bias + block.channel};
  if (blocks.channels_last()) {
    NormalizeTile(input, output, block, blocks.geometry().group_size(),
                  normalizers, first, traffic);
    return;
  }
  const T* x = input + block.offset;
  T* y = output + block.offset;
  const std::int64_t spatial = blocks.geometry().spatial;
  if constexpr (!std::is_same_v<T, double>) {
    if (spatial == 1) {
      if (normalizers->in_single &&
          NormalizeChannels(x, y, block.width, normalizers->statistics,
                            first)) {
        return;
      }
    } else if (normalizers->in_single) {
      NormalizeRun<SingleAffine>(x, y, block.width, spatial, block.position,
                                 normalizers->statistics, first, traffic);
      return;
    }
  } else if (spatial == 1 && !traffic.stream) {
    NormalizeDoubles(x, y, block.width, normalizers->statistics, first);
    return;
  }
  NormalizeRun<DoubleAffine>(x, y, block.width, spatial, block.position,
                             normalizers->statistics, first, traffic);
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_NORMALIZE_INL_H_
