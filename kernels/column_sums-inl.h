// Sums down the columns of a matrix, as channels last needs them: a row is a
// position, a column a channel. The counterpart of SumRun.

#if defined(GROUPNORM_KERNELS_COLUMN_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_COLUMN_SUMS_INL_H_
#undef GROUPNORM_KERNELS_COLUMN_SUMS_INL_H_
#else
#define GROUPNORM_KERNELS_COLUMN_SUMS_INL_H_
#endif

#include <algorithm>
#include <bit>
#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/lane_sums-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// Columns that are worked on at once.
inline constexpr std::int64_t kMaxColumns = kPanelChannels;

/// Columns at least, if need be of several rows laid side by side.
inline constexpr std::int64_t kMinColumns = 32;

/// Rows of `width` elements, at most kMaxColumns, that lie `stride` elements
/// apart. Where rows lie without gaps, `fold` of them are read as one: column c
/// of row i is then column (i % fold) * width + c.
struct Columns {
  std::int64_t offset;  ///< Of the first element.
  std::int64_t rows;
  std::int64_t width;
  std::int64_t stride;
  std::int64_t fold;

  std::int64_t folded_width() const { return fold * width; }
};

/// The columns of a block from `column` on.
inline Columns ColumnsOf(const Block& block, std::int64_t column) {
  Columns columns;
  columns.offset = block.offset + column;
  columns.rows = block.rows;
  columns.width = std::min(kMaxColumns, block.width - column);
  columns.stride = block.stride;
  columns.fold = 1;
  if (columns.width == columns.stride && columns.width < kMinColumns) {
    columns.fold = static_cast<std::int64_t>(std::bit_ceil(
        static_cast<std::uint64_t>((kMinColumns - 1) / columns.width + 1)));
  }
  return columns;
}

/// Columns beside one another after folding, and those that whole vectors may
/// reach beyond them.
inline constexpr std::int64_t kColumnCapacity =
    kMaxColumns + 2 * kMinColumns + hn::MaxLanes(Singles());

/// Repeats the first `width` values `fold` times.
template <typename T>
HWY_INLINE void Fold(const Columns& columns, T* values) {
  for (std::int64_t i = columns.width; i < columns.folded_width(); ++i) {
    values[i] = values[i - columns.width];
  }
}

/// Two sums a column, with their rounding errors.
struct ColumnTotals {
  HWY_ALIGN double first[kColumnCapacity];
  HWY_ALIGN double first_error[kColumnCapacity];
  HWY_ALIGN double second[kColumnCapacity];
  HWY_ALIGN double second_error[kColumnCapacity];

  CompensatedPair Of(std::int64_t column) const {
    return {CompensatedSum(first[column], first_error[column]),
            CompensatedSum(second[column], second_error[column])};
  }

  void AddColumn(std::int64_t from, std::int64_t to) {
    CompensatedPair sum = Of(to);
    sum.Add(Of(from));
    first[to] = sum.first.sum();
    first_error[to] = sum.first.error();
    second[to] = sum.second.sum();
    second_error[to] = sum.second.error();
  }
};

/// Adds a vector of sums to those at `sums`, with their rounding errors kept.
HWY_INLINE void AddCompensated(DoubleVector value, DoubleVector value_error,
                               double* sums, double* errors) {
  const Doubles d;
  const auto before = hn::LoadU(d, sums);
  const auto sum = hn::Add(before, value);
  const auto part = hn::Sub(sum, before);
  const auto error =
      hn::Add(hn::Sub(before, hn::Sub(sum, part)), hn::Sub(value, part));
  hn::StoreU(sum, d, sums);
  hn::StoreU(hn::Add(hn::LoadU(d, errors), hn::Add(error, value_error)), d,
             errors);
}

/// Adds `rows` rows, at most kLaneSteps, of `width` columns to the totals.
/// `terms.Add(i, column, first, second)` adds the elements from index i of the
/// tensor on, and `terms.AddFirst(i, column, count, first, second)` the first
/// `count` of them alone.
template <class First, class Second, class Terms>
HWY_INLINE void AddRows(const Terms& terms, std::int64_t offset,
                        std::int64_t rows, std::int64_t width,
                        std::int64_t stride, ColumnTotals& totals) {
  const auto store = [&](std::int64_t column, const First& first,
                         const Second& second) HWY_ATTR {
    AddCompensated(first.sum(), first.error(), totals.first + column,
                   totals.first_error + column);
    AddCompensated(second.sum(), second.error(), totals.second + column,
                   totals.second_error + column);
  };
  std::int64_t column = 0;
  for (; column + 4 * kDoubles <= width; column += 4 * kDoubles) {
    First first0, first1, first2, first3;
    Second second0, second1, second2, second3;
    std::int64_t i = offset + column;
    for (std::int64_t row = 0; row < rows; ++row, i += stride) {
      terms.Add(i, column, first0, second0);
      terms.Add(i + kDoubles, column + kDoubles, first1, second1);
      terms.Add(i + 2 * kDoubles, column + 2 * kDoubles, first2, second2);
      terms.Add(i + 3 * kDoubles, column + 3 * kDoubles, first3, second3);
    }
    store(column, first0, second0);
    store(column + kDoubles, first1, second1);
    store(column + 2 * kDoubles, first2, second2);
    store(column + 3 * kDoubles, first3, second3);
  }
  for (; column < width; column += kDoubles) {
    First first;
    Second second;
    std::int64_t i = offset + column;
    for (std::int64_t row = 0; row < rows; ++row, i += stride) {
      if (width - column >= kDoubles) {
        terms.Add(i, column, first, second);
      } else {
        terms.AddFirst(i, column, width - column, first, second);
      }
    }
    store(column, first, second);
  }
}

/// Sums the columns.
template <class First, class Second, class Terms>
HWY_NOINLINE void SumColumns(const Terms& terms, const Columns& columns,
                             ColumnTotals& totals) {
  const std::int64_t width = columns.folded_width();
  const std::int64_t stride = columns.fold * columns.stride;
  const std::int64_t rows = columns.rows / columns.fold;
  for (double* sums :
       {totals.first, totals.first_error, totals.second, totals.second_error}) {
    std::fill_n(sums, width + kDoubles, 0.0);
  }
  for (std::int64_t row = 0; row < rows; row += kLaneSteps) {
    AddRows<First, Second>(terms, columns.offset + row * stride,
                           std::min(kLaneSteps, rows - row), width, stride,
                           totals);
  }
  const std::int64_t rest = columns.rows % columns.fold;
  if (rest > 0) {
    AddRows<First, Second>(terms, columns.offset + rows * stride, 1,
                           rest * columns.width, stride, totals);
  }
  for (std::int64_t half = columns.fold / 2; half > 0; half /= 2) {
    const std::int64_t n = half * columns.width;
    for (std::int64_t c = 0; c < n; ++c) totals.AddColumn(n + c, c);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_COLUMN_SUMS_INL_H_
