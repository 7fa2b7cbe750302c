// The moments of runs of consecutive values: blocks of channels first.

#if defined(GROUPNORM_KERNELS_RUN_MOMENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_RUN_MOMENTS_INL_H_
#undef GROUPNORM_KERNELS_RUN_MOMENTS_INL_H_
#else
#define GROUPNORM_KERNELS_RUN_MOMENTS_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

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
  static constexpr bool kAddsPairs = kSumsInPairs<T>;

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

  HWY_INLINE void AddPairs(std::int64_t i, PlainLanes& even_first,
                           PlainLanes& even_second, PlainLanes& odd_first,
                           PlainLanes& odd_second) const {
    hn::Vec<hn::Rebind<float, Doubles>> even, odd;
    LoadPairs(x + i, even, odd);
    AddValues(even, even_first, even_second);
    AddValues(odd, odd_first, odd_second);
  }

  HWY_INLINE void AddFirstPairs(std::int64_t i, std::int64_t count,
                                PlainLanes& even_first, PlainLanes& even_second,
                                PlainLanes& odd_first,
                                PlainLanes& odd_second) const {
    hn::Vec<hn::Rebind<float, Doubles>> even, odd;
    LoadFirstPairs(x + i, count, even, odd);
    AddValues(even, even_first, even_second);
    AddValues(odd, odd_first, odd_second);
  }

 private:
  static HWY_INLINE void AddValues(hn::Vec<hn::Rebind<float, Doubles>> values,
                                   PlainLanes& first, PlainLanes& second) {
    const auto v = hn::PromoteTo(Doubles(), values);
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

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_RUN_MOMENTS_INL_H_
