// The moments of the groups of a tile: blocks of channels last.

#if defined(GROUPNORM_KERNELS_TILE_MOMENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_TILE_MOMENTS_INL_H_
#undef GROUPNORM_KERNELS_TILE_MOMENTS_INL_H_
#else
#define GROUPNORM_KERNELS_TILE_MOMENTS_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/blocks.h"
#include "kernels/column_sums-inl.h"
#include "kernels/group_array.h"
#include "kernels/moments-inl.h"
#include "kernels/run_moments-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// RunValues of the columns of a matrix. Products by 1 change no bit: the units
/// that add are busy with widening the values, those that multiply are not.
template <typename T>
struct ColumnValues {
  using Element = T;
  static constexpr bool kHasGradients = false;
  static constexpr bool kHasPairs = kInPairs<T>;

  const T* x;

  template <class First, class Second>
  HWY_INLINE void Add(std::int64_t i, std::int64_t /*column*/, First& first,
                      Second& second) const {
    AddValues(LoadAs(Doubles(), x + i), first, second);
  }

  template <class First, class Second>
  HWY_INLINE void AddPairs(std::int64_t i, std::int64_t /*column*/,
                           First& even_first, Second& even_second,
                           First& odd_first, Second& odd_second) const {
    hn::Vec<hn::Rebind<float, Doubles>> even, odd;
    LoadPairs(x + i, even, odd);
    AddValues(hn::PromoteTo(Doubles(), even), even_first, even_second);
    AddValues(hn::PromoteTo(Doubles(), odd), odd_first, odd_second);
  }

  template <class First, class Second>
  HWY_INLINE void AddFirst(std::int64_t i, std::int64_t /*column*/,
                           std::int64_t count, First& first,
                           Second& second) const {
    RunValues<T>{x}.AddFirst(i, count, first, second);
  }

 private:
  template <class First, class Second>
  static HWY_INLINE void AddValues(DoubleVector v, First& first,
                                   Second& second) {
    first.AddProduct(v, hn::Set(Doubles(), 1.0));
    second.AddProduct(v, v);
  }
};

/// RunDeviations of the columns of a matrix, each about a pivot of its own.
template <typename T>
struct ColumnDeviations {
  using Element = T;
  static constexpr bool kHasGradients = false;
  static constexpr bool kHasPairs = false;

  const T* x;
  const double* base;
  const double* pivot;

  template <class First, class Second>
  HWY_INLINE void Add(std::int64_t i, std::int64_t column, First& first,
                      Second& second) const {
    const Doubles d;
    const auto v = LoadAs(d, x + i);
    const auto deviation = hn::Sub(v, hn::LoadU(d, pivot + column));
    first.Add(hn::Sub(v, hn::LoadU(d, base + column)));
    second.AddProduct(deviation, deviation);
  }

  template <class First, class Second>
  HWY_INLINE void AddFirst(std::int64_t i, std::int64_t column,
                           std::int64_t count, First& first,
                           Second& second) const {
    const Doubles d;
    const auto in_row = hn::FirstN(d, static_cast<std::size_t>(count));
    const auto v = LoadFirstAs(d, x + i, count);
    const auto deviation =
        hn::IfThenElseZero(in_row, hn::Sub(v, hn::LoadU(d, pivot + column)));
    first.Add(
        hn::IfThenElseZero(in_row, hn::Sub(v, hn::LoadU(d, base + column))));
    second.AddProduct(deviation, deviation);
  }
};

/// The sums of groups of `group_size` columns, from the first column on: as
/// many groups at once as a vector holds, each with its columns in their order.
template <Totals kTotals>
HWY_NOINLINE void SumGroupsOfColumns(const ColumnTotals& totals,
                                     std::int64_t group_size,
                                     std::int64_t num_groups,
                                     CompensatedPair* group_sums) {
  const Doubles d;
  const hn::RebindToSigned<Doubles> indices;
  for (std::int64_t group = 0; group < num_groups; group += kDoubles) {
    HWY_ALIGN std::int64_t first_column[kDoubles];
    for (std::int64_t g = 0; g < kDoubles; ++g) {
      first_column[g] = std::min(group + g, num_groups - 1) * group_size;
    }
    auto at = hn::Load(indices, first_column);
    DoubleDoubles first = {hn::Zero(d), hn::Zero(d)};
    DoubleDoubles second = {hn::Zero(d), hn::Zero(d)};
    for (std::int64_t c = 0; c < group_size; ++c) {
      const auto add = [&](const double* sums,
                           [[maybe_unused]] const double* errors,
                           DoubleDoubles& total) HWY_ATTR {
        const DoubleDoubles sum =
            TwoSum(total.hi, hn::GatherIndex(d, sums, at));
        total = {sum.hi, hn::Add(total.lo, sum.lo)};
        if constexpr (kTotals == Totals::kCompensated) {
          total.lo = hn::Add(total.lo, hn::GatherIndex(d, errors, at));
        }
      };
      add(totals.first, totals.first_error, first);
      add(totals.second, totals.second_error, second);
      at = hn::Add(at, hn::Set(indices, 1));
    }
    HWY_ALIGN double values[4][kDoubles];
    hn::Store(first.hi, d, values[0]);
    hn::Store(first.lo, d, values[1]);
    hn::Store(second.hi, d, values[2]);
    hn::Store(second.lo, d, values[3]);
    for (std::int64_t g = 0; g < std::min(kDoubles, num_groups - group); ++g) {
      group_sums[group + g] = {CompensatedSum(values[0][g], values[1][g]),
                               CompensatedSum(values[2][g], values[3][g])};
    }
  }
}

/// The sums of a tile's groups of `group_size` channels. Without pivots (null)
/// those of x and x^2.
template <typename T>
HWY_NOINLINE void SumTile(const T* x, const Block& tile,
                          std::int64_t group_size, const Pivot* pivots,
                          CompensatedPair* group_sums) {
  const std::int64_t num_groups = tile.width / group_size;
  std::fill_n(group_sums, num_groups, CompensatedPair());
  for (std::int64_t column = 0; column < tile.width; column += kMaxColumns) {
    const Columns columns = ColumnsOf(tile, column);
    ColumnTotals totals;
    if (pivots == nullptr) {
      const ColumnValues<T> terms = {x};
      SumColumns<Totals::kPlain, PlainLanes, PlainLanes>(terms, columns,
                                                         totals);
    } else {
      double base[kColumnCapacity];
      double about[kColumnCapacity];
      for (std::int64_t c = 0; c < columns.width; ++c) {
        const Pivot& pivot = pivots[(column + c) / group_size];
        base[c] = pivot.base;
        about[c] = pivot.pivot;
      }
      Fold(columns, base);
      Fold(columns, about);
      const ColumnDeviations<T> terms = {x, base, about};
      SumColumns<Totals::kCompensated, ValueLanes<T>, PlainLanes>(
          terms, columns, totals);
    }
    if (tile.width <= kMaxColumns) {
      if (pivots == nullptr) {
        SumGroupsOfColumns<Totals::kPlain>(totals, group_size, num_groups,
                                           group_sums);
      } else {
        SumGroupsOfColumns<Totals::kCompensated>(totals, group_size, num_groups,
                                                 group_sums);
      }
      return;
    }
    std::int64_t group = column / group_size;
    std::int64_t next_group = (group + 1) * group_size - column;
    for (std::int64_t c = 0; c < columns.width; ++c) {
      if (c == next_group) {
        ++group;
        next_group += group_size;
      }
      group_sums[group].Add(totals.Of(c));
    }
  }
}

/// RunMoments of each group of a tile.
template <typename T>
HWY_NOINLINE void TileMoments(const T* x, const Block& tile,
                              std::int64_t group_size, Moments* moments) {
  const std::int64_t num_groups = tile.width / group_size;
  const std::int64_t count = tile.rows * group_size;
  GroupArray<Pivot> pivots(num_groups);
  GroupArray<CompensatedPair> sums(num_groups);
  if constexpr (std::is_same_v<T, double>) {
    for (std::int64_t g = 0; g < num_groups; ++g) {
      pivots[g].pivot = x[tile.offset + g * group_size];
    }
    SumTile(x, tile, group_size, pivots.data(), sums.data());
  } else {
    SumTile(x, tile, group_size, nullptr, sums.data());
  }
  bool again[kPanelChannels];
  bool any_again = false;
  MomentsFromSums(count, pivots.data(), sums.data(), num_groups, moments);
  for (std::int64_t g = 0; g < num_groups; ++g) {
    again[g] = NeedsSecondPass<T>(moments[g], count, pivots[g]);
    any_again = any_again || again[g];
    pivots[g] = PivotOfMean<T>(moments[g].mean);
  }
  if (!any_again) return;
  GroupArray<Moments> second(num_groups);
  SumTile(x, tile, group_size, pivots.data(), sums.data());
  MomentsFromSums(count, pivots.data(), sums.data(), num_groups, second.data());
  for (std::int64_t g = 0; g < num_groups; ++g) {
    if (again[g]) moments[g] = second[g];
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_TILE_MOMENTS_INL_H_
