// The moments of blocks of groups.

#if defined(GROUPNORM_KERNELS_BLOCK_MOMENTS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_BLOCK_MOMENTS_INL_H_
#undef GROUPNORM_KERNELS_BLOCK_MOMENTS_INL_H_
#else
#define GROUPNORM_KERNELS_BLOCK_MOMENTS_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/blocks.h"
#include "kernels/column_sums-inl.h"
#include "kernels/group_array.h"
#include "kernels/lane_sums-inl.h"
#include "kernels/moments-inl.h"
#include "kernels/short_runs-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// A block is summed again about its mean where the square of the mean (about
/// the pivot of the first pass) exceeds this many variances: below it, the
/// cancellation in M2 leaves the bounds of docs/math.md.
template <typename T>
inline constexpr double kRedoRatio = std::is_same_v<T, double> ? 16.0 : 100.0;

/// Sums of float64 values keep all their rounding errors, so that the mean is
/// right to its last place; squares need not.
template <typename T>
using ValueLanes =
    std::conditional_t<std::is_same_v<T, double>, CompensatedLanes, PlainLanes>;

/// The pivot of the second pass over a block with this mean: the mean rounded
/// to T.
template <typename T>
Pivot PivotOfMean(double mean) {
  const double pivot = ToDouble(FromDouble<T>(mean));
  return {std::is_same_v<T, double> ? 0 : pivot, pivot};
}

template <typename T>
bool NeedsSecondPass(const Moments& moments, std::int64_t count,
                     const Pivot& pivot) {
  const double offset = moments.mean - pivot.pivot;
  const double variance = moments.m2 / static_cast<double>(count);
  // False where something is NaN: nothing is to be gained there.
  return offset * offset > kRedoRatio<T> * variance;
}

/// Terms x and x^2, both exact for narrow element types.
template <typename T>
struct RunValues {
  const T* x;

  /// Those from the i-th value on.
  HWY_INLINE RunValues From(std::int64_t i) const { return {x + i}; }

  template <class First, class Second>
  HWY_INLINE void Add(std::int64_t i, First& first, Second& second) const {
    const auto v = LoadAs(Doubles(), x + i);
    first.Add(v);
    second.AddProduct(v, v);
  }

  template <class First, class Second>
  HWY_INLINE void AddFirst(std::int64_t i, std::int64_t count, First& first,
                           Second& second) const {
    const auto v = LoadFirstAs(Doubles(), x + i, count);
    first.Add(v);
    second.AddProduct(v, v);
  }
};

/// Terms x - base and (x - pivot)^2.
template <typename T>
struct RunDeviations {
  const T* x;
  Pivot about;

  template <class First, class Second>
  HWY_INLINE void Add(std::int64_t i, First& first, Second& second) const {
    const Doubles d;
    const auto v = LoadAs(d, x + i);
    const auto deviation = hn::Sub(v, hn::Set(d, about.pivot));
    first.Add(hn::Sub(v, hn::Set(d, about.base)));
    second.AddProduct(deviation, deviation);
  }

  template <class First, class Second>
  HWY_INLINE void AddFirst(std::int64_t i, std::int64_t count, First& first,
                           Second& second) const {
    const Doubles d;
    const auto in_run = hn::FirstN(d, static_cast<std::size_t>(count));
    const auto v = LoadFirstAs(d, x + i, count);
    const auto deviation =
        hn::IfThenElseZero(in_run, hn::Sub(v, hn::Set(d, about.pivot)));
    first.Add(hn::IfThenElseZero(in_run, hn::Sub(v, hn::Set(d, about.base))));
    second.AddProduct(deviation, deviation);
  }
};

/// The sums of a first pass over a run of at most kBlockElements values. Narrow
/// element types are summed as they are, the squares of float64 about the first
/// value (they would not be exact otherwise).
template <typename T>
HWY_NOINLINE CompensatedPair FirstSums(const T* x, std::int64_t count,
                                       Pivot& pivot) {
  pivot = Pivot();
  if constexpr (std::is_same_v<T, double>) {
    pivot.pivot = x[0];
    const RunDeviations<T> terms = {x, pivot};
    return SumRun<ValueLanes<T>, PlainLanes>(terms, count);
  } else {
    const RunValues<T> terms = {x};
    return SumBlockPlainly(terms, count);
  }
}

/// FirstSums of `num_runs` runs of at most kSegment values, each `spacing`
/// elements after the one before, which are reduced together.
template <typename T>
HWY_NOINLINE void FirstSumsOfShortRuns(const T* x, std::int64_t count,
                                       std::int64_t spacing,
                                       std::int64_t num_runs, Pivot* pivots,
                                       CompensatedPair* sums) {
  const auto zero = hn::Zero(Doubles());
  if constexpr (std::is_same_v<T, double>) {
    for (std::int64_t begin = 0; begin < num_runs; begin += kDoubles) {
      const std::int64_t runs = std::min(kDoubles, num_runs - begin);
      CompensatedRuns firsts;
      HWY_ALIGN double seconds[kDoubles] = {};
      for (std::int64_t run = 0; run < runs; ++run) {
        const T* values = x + (begin + run) * spacing;
        const Pivot pivot = {.pivot = values[0]};
        pivots[begin + run] = pivot;
        const RunDeviations<T> terms = {values, pivot};
        HWY_ALIGN double first[CompensatedLanes::kStored];
        HWY_ALIGN double second[kLanes];
        SumLanes<CompensatedLanes, PlainLanes>(terms, 0, count, first, second);
        firsts.Set(run, first);
        seconds[run] = PlainLanes::Reduce(second).sum();
      }
      const DoubleDoubles first = firsts.Reduce();
      StoreMembers(sums + begin, runs, first.hi, first.lo,
                   hn::Load(Doubles(), seconds), zero);
    }
  } else {
    ShortRuns firsts;
    ShortRuns seconds;
    for (std::int64_t run = 0; run < num_runs; ++run) {
      const RunValues<T> terms = {x + run * spacing};
      SumShortRun<PlainLanes>(terms, count, run, firsts, seconds);
      pivots[run] = Pivot();
    }
    firsts.ReduceLanes<PlainLanes>(num_runs);
    seconds.ReduceLanes<PlainLanes>(num_runs);
    for (std::int64_t run = 0; run < num_runs; run += kDoubles) {
      StoreMembers(sums + run, std::min(kDoubles, num_runs - run),
                   firsts.SumsFrom(run), zero, seconds.SumsFrom(run), zero);
    }
  }
}

/// FirstSums of `num_runs` runs, as many at once as are short.
template <typename T>
void FirstSumsOfRuns(const T* x, std::int64_t count, std::int64_t spacing,
                     std::int64_t num_runs, Pivot* pivots,
                     CompensatedPair* sums) {
  if (count <= kSegment && num_runs > 1) {
    FirstSumsOfShortRuns(x, count, spacing, num_runs, pivots, sums);
    return;
  }
  for (std::int64_t run = 0; run < num_runs; ++run) {
    sums[run] = FirstSums(x + run * spacing, count, pivots[run]);
  }
}

/// The moments of `num_runs` runs of `count` consecutive values, each `spacing`
/// elements after the one before, from the sums of a first pass about `pivots`.
///
/// Where a second pass is needed it takes the mean rounded to T as the pivot:
/// equal values then differ from it by exactly 0, and others so that the
/// cancellation in M2 loses less than two bits.
template <typename T>
void MomentsOfRuns(const T* x, std::int64_t count, std::int64_t spacing,
                   std::int64_t num_runs, Pivot* pivots, CompensatedPair* sums,
                   Moments* moments) {
  MomentsFromSums(count, pivots, sums, num_runs, moments);
  for (std::int64_t run = 0; run < num_runs; ++run) {
    if (!NeedsSecondPass<T>(moments[run], count, pivots[run])) continue;
    pivots[run] = PivotOfMean<T>(moments[run].mean);
    const RunDeviations<T> terms = {x + run * spacing, pivots[run]};
    sums[run] = SumRun<ValueLanes<T>, PlainLanes>(terms, count);
    MomentsFromSums(count, pivots + run, sums + run, 1, moments + run);
  }
}

/// Runs that RunMoments takes at once.
inline constexpr std::int64_t kMaxRuns = 8;

/// The moments of `num_runs` runs of `count` consecutive values, each `spacing`
/// elements after the one before.
template <typename T>
HWY_NOINLINE void RunMoments(const T* x, std::int64_t count,
                             std::int64_t spacing, std::int64_t num_runs,
                             Moments* moments) {
  Pivot pivots[kMaxRuns];
  CompensatedPair sums[kMaxRuns];
  FirstSumsOfRuns(x, count, spacing, num_runs, pivots, sums);
  MomentsOfRuns(x, count, spacing, num_runs, pivots, sums, moments);
}

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

/// The moments of each group of the index-th block of a panel.
template <typename T>
void BlockMoments(const Blocks& blocks, const T* input, const Panel& panel,
                  std::int64_t index, Moments* moments) {
  const Block block = blocks.OfPanel(panel, index);
  if (blocks.channels_last()) {
    TileMoments(input, block, blocks.geometry().group_size(), moments);
  } else {
    RunMoments(input + block.offset, block.width, 0, 1, moments);
  }
}

/// The moments of each group of a panel: those of its blocks merged in their
/// order.
template <typename T>
void PanelMoments(const Blocks& blocks, const T* input, const Panel& panel,
                  Moments* moments) {
  BlockMoments(blocks, input, panel, 0, moments);
  std::int64_t count = blocks.GroupValues(0);
  for (std::int64_t i = 1; i < blocks.per_panel(); ++i) {
    GroupArray<Moments> block_moments(panel.num_groups);
    BlockMoments(blocks, input, panel, i, block_moments.data());
    const std::int64_t block_count = blocks.GroupValues(i);
    MergeMoments(count, moments, block_count, block_moments.data(),
                 panel.num_groups);
    count += block_count;
  }
}

/// The moments of consecutive groups from those of all their blocks, merged in
/// their order. `block_moments` are those of the first block; each block's
/// follow those of the one before, `stride` further on.
inline void MergeBlocks(const Blocks& blocks, const Moments* block_moments,
                        std::int64_t stride, std::int64_t num_groups,
                        Moments* moments) {
  std::copy_n(block_moments, num_groups, moments);
  std::int64_t count = blocks.GroupValues(0);
  for (std::int64_t i = 1; i < blocks.per_panel(); ++i) {
    const std::int64_t block_count = blocks.GroupValues(i);
    MergeMoments(count, moments, block_count, block_moments + i * stride,
                 num_groups);
    count += block_count;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_BLOCK_MOMENTS_INL_H_
