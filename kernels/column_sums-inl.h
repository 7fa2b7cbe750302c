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

/// Fetches the rows that will be worked on soon, while kRows are worked on side
/// by side, a vector of kVector columns at a time: the processor by itself does
/// not keep up with several rows at once.
template <typename T, std::int64_t kVector, std::int64_t kRows>
class RowsAhead {
 public:
  RowsAhead(std::int64_t width, std::int64_t stride)
      : distance_((1 + (kBytes - 1) / (width * kRows * kElementBytes)) * kRows *
                  stride),
        stride_(stride) {}

  /// To be called for each vector of columns. `x` is the beginning of the first
  /// of the rows. Each line is fetched once: some rows with this vector, the
  /// others with the next.
  HWY_INLINE void Fetch(const T* x, std::int64_t column) const {
    constexpr std::int64_t kVectors =
        std::clamp<std::int64_t>(64 / kElementBytes / kVector, 1, kRows);
    constexpr std::int64_t kFetched = kRows / kVectors;
    const T* p = x + distance_ + column +
                 column / kVector % kVectors * (kFetched * stride_);
#pragma GCC unroll 8
    for (std::int64_t row = 0; row < kFetched; ++row) {
      // To the second level: the first is full of what is being worked on.
      __builtin_prefetch(p + row * stride_, 0, 2);
    }
  }

 private:
  static constexpr std::int64_t kBytes = 8192;
  static constexpr auto kElementBytes = static_cast<std::int64_t>(sizeof(T));

  std::int64_t distance_;
  std::int64_t stride_;
};

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

/// Adds a vector of sums to those at `sums`.
HWY_INLINE void AddPlainly(DoubleVector value, double* sums) {
  const Doubles d;
  hn::StoreU(hn::Add(hn::LoadU(d, sums), value), d, sums);
}

/// Adds `kRows` rows of `width` columns, the first of which begins at index i
/// of the tensor, to plain sums (from 0 where `kFirst`). Rows are walked side
/// by side from left to right: memory is read as it lies, and the sums, which
/// stay in the first-level cache, are loaded and stored once for all of the
/// rows. `terms.Add(i, column, first, second)` adds the elements from index i
/// of the tensor on, and `terms.AddFirst(i, column, count, first, second)` the
/// first `count` of them alone. Where kByPairs, `terms.AddPairs` adds those of
/// two vectors, the even columns to the first and the odd ones to the second of
/// two pairs of sums, as long as there are so many.
template <std::int64_t kRows, bool kFirst, bool kByPairs, class First,
          class Second, class Terms>
HWY_NOINLINE void AddRowsSideBySide(const Terms terms, std::int64_t i,
                                    std::int64_t width, std::int64_t stride,
                                    ColumnTotals& sums) {
  constexpr std::int64_t kVectors = kByPairs ? 2 : 1;
  constexpr std::int64_t kStep = kVectors * kDoubles;
  const RowsAhead<typename Terms::Element, kStep, kRows> ahead(width, stride);
  const auto load_first = [&](std::int64_t c) HWY_ATTR {
    return kFirst ? First() : First(sums.first + c, sums.first_error + c);
  };
  const auto load_second = [&](std::int64_t c) HWY_ATTR {
    return kFirst ? Second() : Second(sums.second + c, sums.second_error + c);
  };
  const auto save = [&](std::int64_t c, const First& first,
                        const Second& second) HWY_ATTR {
    first.Save(sums.first + c, sums.first_error + c);
    second.Save(sums.second + c, sums.second_error + c);
  };
  std::int64_t c = 0;
  for (; c + kStep <= width; c += kStep) {
    if constexpr (kRows > 1) {
      ahead.Fetch(terms.x + i, c);
      if constexpr (Terms::kHasGradients) ahead.Fetch(terms.dy + i, c);
    }
    First first = load_first(c);
    Second second = load_second(c);
    if constexpr (kByPairs) {
      First odd_first = load_first(c + kDoubles);
      Second odd_second = load_second(c + kDoubles);
#pragma GCC unroll 8
      for (std::int64_t row = 0; row < kRows; ++row) {
        terms.AddPairs(i + row * stride + c, c, first, second, odd_first,
                       odd_second);
      }
      save(c + kDoubles, odd_first, odd_second);
    } else {
#pragma GCC unroll 8
      for (std::int64_t row = 0; row < kRows; ++row) {
        terms.Add(i + row * stride + c, c, first, second);
      }
    }
    save(c, first, second);
  }
  for (; c < width; c += kDoubles) {
    First first = load_first(c);
    Second second = load_second(c);
    // Not worth the room that it takes unrolled.
#pragma GCC unroll 1
    for (std::int64_t row = 0; row < kRows; ++row) {
      if (c + kDoubles <= width) {
        terms.Add(i + row * stride + c, c, first, second);
      } else {
        terms.AddFirst(i + row * stride + c, c, width - c, first, second);
      }
    }
    save(c, first, second);
  }
}

/// How the sums of 32 rows are added up: with their rounding errors, or without
/// (as PlainSums, with the same bound).
enum class Totals { kCompensated, kPlain };

/// Adds sums of at most kLaneSteps rows to the totals.
template <Totals kTotals, class First, class Second>
HWY_INLINE void AddToTotals(const ColumnTotals& sums, std::int64_t width,
                            ColumnTotals& totals) {
  for (std::int64_t c = 0; c < width; c += kDoubles) {
    const First first(sums.first + c, sums.first_error + c);
    const Second second(sums.second + c, sums.second_error + c);
    if constexpr (kTotals == Totals::kPlain) {
      AddPlainly(first.sum(), totals.first + c);
      AddPlainly(second.sum(), totals.second + c);
    } else {
      AddCompensated(first.sum(), first.error(), totals.first + c,
                     totals.first_error + c);
      AddCompensated(second.sum(), second.error(), totals.second + c,
                     totals.second_error + c);
    }
  }
}

/// Adds up `rows` rows, at most kLaneSteps.
template <bool kByPairs, class First, class Second, class Terms>
HWY_INLINE void AddRows(const Terms& terms, std::int64_t offset,
                        std::int64_t rows, std::int64_t width,
                        std::int64_t stride, ColumnTotals& sums) {
  // Streams of memory, of which the registers hold as many addresses.
  constexpr std::int64_t kRows = Terms::kHasGradients ? 4 : 8;
  std::int64_t row = 0;
  if (rows >= kRows) {
    AddRowsSideBySide<kRows, true, kByPairs, First, Second>(
        terms, offset, width, stride, sums);
    row = kRows;
  } else {
    AddRowsSideBySide<1, true, kByPairs, First, Second>(terms, offset, width,
                                                        stride, sums);
    row = 1;
  }
  for (; row + kRows <= rows; row += kRows) {
    AddRowsSideBySide<kRows, false, kByPairs, First, Second>(
        terms, offset + row * stride, width, stride, sums);
  }
  for (; row < rows; ++row) {
    AddRowsSideBySide<1, false, kByPairs, First, Second>(
        terms, offset + row * stride, width, stride, sums);
  }
}

/// Puts the sums of AddPairs in the order of their columns.
HWY_INLINE void SortPairs(std::int64_t width, ColumnTotals& totals) {
#if HWY_TARGET == HWY_SCALAR
  static_cast<void>(width);
  static_cast<void>(totals);
#else
  const Doubles d;
  for (std::int64_t c = 0; c + 2 * kDoubles <= width; c += 2 * kDoubles) {
    for (double* sums : {totals.first + c, totals.first_error + c,
                         totals.second + c, totals.second_error + c}) {
      hn::StoreInterleaved2(hn::Load(d, sums), hn::Load(d, sums + kDoubles), d,
                            sums);
    }
  }
#endif
}

/// Sums the columns. Plain totals leave the errors 0.
template <Totals kTotals, class First, class Second, class Terms>
HWY_NOINLINE void SumColumns(const Terms& terms, const Columns& columns,
                             ColumnTotals& totals) {
  const std::int64_t width = columns.folded_width();
  const std::int64_t stride = columns.fold * columns.stride;
  const std::int64_t rows = columns.rows / columns.fold;
  for (double* sums :
       {totals.first, totals.first_error, totals.second, totals.second_error}) {
    std::fill_n(sums, width + kDoubles, 0.0);
  }
  ColumnTotals sums;
  for (std::int64_t row = 0; row < rows; row += kLaneSteps) {
    AddRows<Terms::kHasPairs, First, Second>(
        terms, columns.offset + row * stride, std::min(kLaneSteps, rows - row),
        width, stride, sums);
    AddToTotals<kTotals, First, Second>(sums, width, totals);
  }
  if constexpr (Terms::kHasPairs) SortPairs(width, totals);
  if (const std::int64_t rest = columns.rows % columns.fold * columns.width;
      rest > 0) {
    AddRowsSideBySide<1, true, false, First, Second>(
        terms, columns.offset + rows * stride, rest, stride, sums);
    AddToTotals<kTotals, First, Second>(sums, rest, totals);
  }
  for (std::int64_t half = columns.fold / 2; half > 0; half /= 2) {
    const std::int64_t n = half * columns.width;
    for (std::int64_t c = 0; c < n; ++c) {
      if constexpr (kTotals == Totals::kPlain) {
        totals.first[c] += totals.first[n + c];
        totals.second[c] += totals.second[n + c];
      } else {
        totals.AddColumn(n + c, c);
      }
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_COLUMN_SUMS_INL_H_
