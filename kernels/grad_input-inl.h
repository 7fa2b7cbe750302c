// grad_input of blocks of groups whose gradients are known.

#if defined(GROUPNORM_KERNELS_GRAD_INPUT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_GRAD_INPUT_INL_H_
#undef GROUPNORM_KERNELS_GRAD_INPUT_INL_H_
#else
#define GROUPNORM_KERNELS_GRAD_INPUT_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/backward_plan.h"
#include "kernels/blocks.h"
#include "kernels/column_sums-inl.h"
#include "kernels/element_loops-inl.h"
#include "kernels/grad_input_channels-inl.h"
#include "kernels/grad_input_formulas-inl.h"
#include "kernels/grad_input_runs-inl.h"
#include "kernels/vectors-inl.h"
#include "tensor/element.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// The coefficients of one vector of columns, which FullFormula asks for with
/// any index.
template <typename Float>
class OneVector {
 public:
  using Lanes = hn::ScalableTag<Float>;

  HWY_INLINE OneVector(const RowOfGroups<Float>& row, std::int64_t column)
      : scale_(row.Scale(Lanes(), column)),
        mean_(row.Mean(Lanes(), column)),
        deviation_(row.Deviation(Lanes(), column)),
        constant_(row.Constant(Lanes(), column)),
        rstd_(hn::Zero(Lanes())) {
    if constexpr (std::is_same_v<Float, double>) {
      rstd_ = row.Rstd(Lanes(), column);
    }
  }

  HWY_INLINE auto Scale(Lanes, std::int64_t) const { return scale_; }
  HWY_INLINE auto Mean(Lanes, std::int64_t) const { return mean_; }
  HWY_INLINE auto Deviation(Lanes, std::int64_t) const { return deviation_; }
  HWY_INLINE auto Constant(Lanes, std::int64_t) const { return constant_; }
  HWY_INLINE auto Rstd(Lanes, std::int64_t) const { return rstd_; }

 private:
  hn::Vec<Lanes> scale_;
  hn::Vec<Lanes> mean_;
  hn::Vec<Lanes> deviation_;
  hn::Vec<Lanes> constant_;
  hn::Vec<Lanes> rstd_;
};

/// Rows that GradInputOfRows takes.
inline constexpr std::int64_t kGradInputRows = 4;

/// grad_input of kGradInputRows rows of at least a step of columns, side by
/// side, so that the coefficients are loaded once for all. They are in the
/// order of LoadPairs where elements are loaded so. Where `kStream`, rows of
/// `dx` are whole cache lines. Returns whether all results are finite; the
/// others are unspecified.
template <bool kStream, typename Float, typename T>
HWY_NOINLINE bool GradInputOfRows(const RowOfGroups<Float>& row,
                                  const T* HWY_RESTRICT x,
                                  const T* HWY_RESTRICT dy, T* HWY_RESTRICT dx,
                                  std::int64_t width, std::int64_t stride) {
  using D = hn::ScalableTag<Float>;
  const D d;
  constexpr std::int64_t kVector = kStepElements<Float, T>;
  constexpr std::int64_t kStep = kRowStep<kStream, T, kVector>;
  const RowsAhead<T, kStep, kGradInputRows> ahead(width, stride);
  const auto zero = hn::Zero(d);
  // As in MapElements.
  auto product = zero;
  for (std::int64_t next = 0; next < width; next += kStep) {
    const std::int64_t c = std::min(next, width - kStep);
    ahead.Fetch(x, c);
    ahead.Fetch(dy, c);
    auto sum = zero;
    if constexpr (kInPairs<T>) {
#pragma GCC unroll 4
      for (std::int64_t r = 0; r < kGradInputRows; ++r) {
#pragma GCC unroll 2
        for (std::int64_t v = 0; v < kStep; v += kVector) {
          const OneVector<Float> coefficients(row, next + v);
          const OneVector<Float> odd_coefficients(row, next + v + kSingles);
          const std::int64_t i = r * stride + c + v;
          const auto even = FullFormula::Of(d, coefficients, 0, x + i, dy + i,
                                            LoadHalf<false>());
          const auto odd = FullFormula::Of(d, odd_coefficients, 0, x + i,
                                           dy + i, LoadHalf<true>());
          sum = hn::Add(sum, hn::Add(even, odd));
          StorePairs<kStream>(RoundPairs(even, odd), dx + i);
        }
      }
    } else {
#pragma GCC unroll 4
      for (std::int64_t r = 0; r < kGradInputRows; ++r) {
#pragma GCC unroll 4
        for (std::int64_t v = 0; v < kStep; v += kVector) {
          const OneVector<Float> coefficients(row, c + v);
          const std::int64_t i = r * stride + c + v;
          const auto dx_vector =
              FullFormula::Of(d, coefficients, 0, x + i, dy + i, LoadWhole());
          sum = hn::Add(sum, dx_vector);
          if constexpr (kStream) {
            StreamAs(d, dx_vector, dx + i);
          } else {
            StoreAs(d, dx_vector, dx + i);
          }
        }
      }
    }
    product = MulAdd(d, sum, zero, product);
  }
  return hn::AllTrue(d, hn::Eq(product, zero));
}

/// grad_input of the columns of a tile from `begin` to `end`, whole groups that
/// are computed alike, channels last. `groups` are those of the tile.
template <typename Float, typename T>
HWY_NOINLINE void GradInputOfColumns(const GradInputTensors<T>& tensors,
                                     const Block& tile, std::int64_t begin,
                                     std::int64_t end, std::int64_t group_size,
                                     const GroupGradient* groups) {
  Block part = tile;
  part.width = end;
  for (std::int64_t column = begin; column < end; column += kMaxColumns) {
    const Columns columns = ColumnsOf(part, column);
    const double* weight = tensors.weight + tile.channel + column;
    RowOfGroups<Float> coefficients;
    for (std::int64_t c = 0; c < columns.width;) {
      const std::int64_t group = (column + c) / group_size;
      const std::int64_t next =
          std::min(columns.width, (group + 1) * group_size - column);
      coefficients.Set(groups[group], tensors.frozen, weight + c, c, next);
      c = next;
    }
    coefficients.FoldColumns(columns);
    const std::int64_t width = columns.folded_width();
    [[maybe_unused]] RowOfGroups<Float> pairs;
#if HWY_TARGET != HWY_SCALAR
    if constexpr (kInPairs<T>) {
      for (std::int64_t c = 0; c < width; c += kPairs) {
        pairs.SetPairs(c, coefficients,
                       std::max<std::int64_t>(0, std::min(c, width - kPairs)));
      }
    }
#endif
    const auto row = [&](std::int64_t i, std::int64_t count) HWY_ATTR {
      const T* x = tensors.x + i;
      const T* dy = tensors.dy + i;
      WritePiece(tensors, i, count, 0, [&](T* out) HWY_ATTR {
        if (tensors.frozen) {
          MapElements<FrozenFormula>(coefficients, x, dy, out, count);
        } else if constexpr (std::is_same_v<T, double>) {
          MapElements<FullFormula>(coefficients, x, dy, out, count);
        } else {
          MapInSingle(
              coefficients, x, dy, out, count, [&](std::int64_t j) HWY_ATTR {
                const std::int64_t c = j % columns.width;
                return ElementInDouble(groups[(column + c) / group_size],
                                       weight[c], x[j], dy[j]);
              });
        }
      });
    };
    const std::int64_t stride = columns.fold * columns.stride;
    std::int64_t i = columns.offset;
    std::int64_t rows = columns.rows / columns.fold;
    const bool whole_lines =
        ElementsToLine(tensors.dx + i) == 0 &&
        width * static_cast<std::int64_t>(sizeof(T)) % kCacheLine == 0 &&
        stride * static_cast<std::int64_t>(sizeof(T)) % kCacheLine == 0;
    const bool side_by_side = !tensors.frozen &&
                              (!tensors.stream || whole_lines) &&
                              width >= kStepElements<Float, T>;
    for (; side_by_side && rows >= kGradInputRows; rows -= kGradInputRows) {
      const auto compute = tensors.stream ? GradInputOfRows<true, Float, T>
                                          : GradInputOfRows<false, Float, T>;
      if (!compute(kInPairs<T> ? pairs : coefficients, tensors.x + i,
                   tensors.dy + i, tensors.dx + i, width, stride)) {
        // Row by row, which looks at the elements.
        for (std::int64_t r = 0; r < kGradInputRows; ++r) {
          row(i + r * stride, width);
        }
      }
      i += kGradInputRows * stride;
    }
    for (; rows > 0; --rows, i += stride) row(i, width);
    const std::int64_t rest = columns.rows % columns.fold * columns.width;
    if (rest > 0) row(i, rest);
  }
}

/// The same in float64 for narrow types: rare.
template <typename T>
void GradInputElementByElement(const GradInputTensors<T>& tensors,
                               const Block& tile, std::int64_t begin,
                               std::int64_t end, std::int64_t group_size,
                               const GroupGradient* groups) {
  const double* weight = tensors.weight + tile.channel;
  for (std::int64_t c = begin; c < end; ++c) {
    const GroupGradient& group = groups[c / group_size];
    std::int64_t i = tile.offset + c;
    for (std::int64_t row = 0; row < tile.rows; ++row, i += tile.stride) {
      tensors.dx[i] =
          tensors.frozen
              ? FrozenElementInDouble(group, weight[c], tensors.dy[i])
              : ElementInDouble(group, weight[c], tensors.x[i], tensors.dy[i]);
    }
  }
}

/// grad_input of a block of a panel. `groups` are those of the panel.
template <typename T>
void GradInputOfBlock(const Blocks& blocks, const GradInputTensors<T>& tensors,
                      const Block& block, const GroupGradient* groups,
                      std::int64_t fetch_ahead) {
  if (!blocks.channels_last()) {
    GradInputOfRun<T>(tensors, blocks, *groups).Compute(block, fetch_ahead);
    return;
  }
  const std::int64_t group_size = blocks.geometry().group_size();
  if constexpr (std::is_same_v<T, double>) {
    GradInputOfColumns<double>(tensors, block, 0, block.width, group_size,
                               groups);
  } else {
    const std::int64_t num_groups = block.width / group_size;
    for (std::int64_t group = 0; group < num_groups;) {
      const bool in_single = groups[group].in_single;
      std::int64_t next = group + 1;
      while (next < num_groups && groups[next].in_single == in_single) ++next;
      if (in_single) {
        GradInputOfColumns<float>(tensors, block, group * group_size,
                                  next * group_size, group_size, groups);
      } else {
        GradInputElementByElement(tensors, block, group * group_size,
                                  next * group_size, group_size, groups);
      }
      group = next;
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_GRAD_INPUT_INL_H_
