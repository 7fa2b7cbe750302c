// The sums over several short runs, reduced together.

#if defined(GROUPNORM_KERNELS_SHORT_RUNS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_SHORT_RUNS_INL_H_
#undef GROUPNORM_KERNELS_SHORT_RUNS_INL_H_
#else
#define GROUPNORM_KERNELS_SHORT_RUNS_INL_H_
#endif

#include <cstdint>
#include <type_traits>

#include "kernels/compensated_sum.h"
#include "kernels/lane_sums-inl.h"
#include "kernels/moments-inl.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// kPartialLanes lanes of several short runs, side by side, that are reduced
/// together: the tree of PlainLanes::Reduce, which costs as much for one run.
class ShortRuns {
 public:
  static constexpr std::int64_t kRuns = 16;

  /// Adds the 32 lanes of a run down to kPartialLanes: lane l + 16 to lane l,
  /// then l + 8. `sums` are those of lanes l, l + 8, l + 16, l + 24 from l =
  /// `lane` on.
  template <class Lanes>
  HWY_INLINE void Set(std::int64_t run, std::int64_t lane, Lanes& lanes0,
                      Lanes& lanes8, Lanes& lanes16, Lanes& lanes24) {
    const std::int64_t at = run * kPartialLanes + lane;
    const Doubles d;
    lanes0.Add(lanes16.sum());
    lanes8.Add(lanes24.sum());
    lanes0.Add(lanes8.sum());
    hn::Store(lanes0.sum(), d, sums_ + at);
    if constexpr (std::is_same_v<Lanes, CompensatedLanes>) {
      hn::Store(hn::Add(hn::Add(lanes0.error(), lanes16.error()),
                        hn::Add(lanes8.error(), lanes24.error())),
                d, errors_ + at);
    }
  }

#if HWY_TARGET <= HWY_AVX3
  /// The same of all lanes, in pairs.
  HWY_INLINE void SetPairs(std::int64_t run, const LanePairs& pairs) {
    const Doubles d;
    const auto even = hn::Add(pairs.even0.sum(), pairs.even16.sum());
    const auto odd = hn::Add(pairs.odd0.sum(), pairs.odd16.sum());
    const auto sums = hn::Add(hn::ConcatLowerLower(d, odd, even),
                              hn::ConcatUpperUpper(d, odd, even));
    HWY_ALIGN static constexpr std::int64_t kOrder[] = {0, 4, 1, 5, 2, 6, 3, 7};
    hn::Store(hn::TableLookupLanes(sums, hn::SetTableIndices(d, kOrder)), d,
              sums_ + run * kPartialLanes);
  }
#endif

  template <class Lanes>
  HWY_INLINE void Set(std::int64_t run, std::int64_t lane, const Lanes& lanes) {
    const Doubles d;
    hn::Store(lanes.sum(), d, sums_ + run * kPartialLanes + lane);
    if constexpr (std::is_same_v<Lanes, CompensatedLanes>) {
      hn::Store(lanes.error(), d, errors_ + run * kPartialLanes + lane);
    }
  }

  /// Leaves the sums of `count` runs, at most kRuns.
  template <class Lanes>
  HWY_INLINE void ReduceLanes(std::int64_t count) {
    for (std::int64_t lanes = kPartialLanes / 2; lanes > 0; lanes /= 2) {
      AddPairs<Lanes>(count * lanes);
    }
  }

  template <class Lanes>
  HWY_INLINE CompensatedSum Of(std::int64_t run) const {
    constexpr bool kHasErrors = std::is_same_v<Lanes, CompensatedLanes>;
    return CompensatedSum(sums_[run], kHasErrors ? errors_[run] : 0);
  }

  /// The sums of as many runs as a vector holds, from `run` on, without their
  /// errors.
  HWY_INLINE DoubleVector SumsFrom(std::int64_t run) const {
    return hn::Load(Doubles(), sums_ + run);
  }

  /// The same as one double each.
  template <class Lanes>
  HWY_INLINE void Reduce(std::int64_t count, double* sums) {
    ReduceLanes<Lanes>(count);
    for (std::int64_t run = 0; run < count; ++run) {
      sums[run] = Of<Lanes>(run).value();
    }
  }

 private:
  // Adds neighbours, which leaves `count` sums (and some that nobody reads).
  template <class Lanes>
  HWY_INLINE void AddPairs(std::int64_t count) {
    const Doubles d;
    for (std::int64_t i = 0; i < count; i += kDoubles) {
      const auto even = Evens(sums_ + 2 * i);
      const auto odd = Odds(sums_ + 2 * i);
      const auto sum = hn::Add(even, odd);
      hn::Store(sum, d, sums_ + i);
      if constexpr (std::is_same_v<Lanes, CompensatedLanes>) {
        const auto part = hn::Sub(sum, even);
        const auto error =
            hn::Add(hn::Sub(even, hn::Sub(sum, part)), hn::Sub(odd, part));
        const auto errors =
            hn::Add(Evens(errors_ + 2 * i), Odds(errors_ + 2 * i));
        hn::Store(hn::Add(errors, error), d, errors_ + i);
      }
    }
  }

  // Of two vectors.
  static HWY_INLINE DoubleVector Evens(const double* p) {
    const Doubles d;
#if HWY_TARGET == HWY_SCALAR
    return hn::Load(d, p);
#else
    return hn::ConcatEven(d, hn::Load(d, p + kDoubles), hn::Load(d, p));
#endif
  }

  static HWY_INLINE DoubleVector Odds(const double* p) {
    const Doubles d;
#if HWY_TARGET == HWY_SCALAR
    return hn::Load(d, p + 1);
#else
    return hn::ConcatOdd(d, hn::Load(d, p + kDoubles), hn::Load(d, p));
#endif
  }

  HWY_ALIGN double sums_[kRuns * kPartialLanes];
  HWY_ALIGN double errors_[kRuns * kPartialLanes];
};

/// The lanes of as many runs as a vector holds, that are reduced side by side:
/// CompensatedLanes::Reduce is one long chain of additions.
class CompensatedRuns {
 public:
  /// Takes what CompensatedLanes stored.
  HWY_INLINE void Set(std::int64_t run, const double* lanes) {
    for (std::int64_t i = 0; i < kStored; ++i) {
      columns_[i * kDoubles + run] = lanes[i];
    }
  }

  /// The sums of the runs and their errors; those of runs that were not set are
  /// unspecified.
  HWY_INLINE DoubleDoubles Reduce() const {
    const Doubles d;
    DoubleDoubles total = {hn::Zero(d), hn::Zero(d)};
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      const double* column = columns_ + lane * kDoubles;
      const auto error = hn::Load(d, column + kLanes * kDoubles);
      const DoubleDoubles sum = TwoSum(total.hi, hn::Load(d, column));
      total = {sum.hi, hn::Add(hn::Add(total.lo, sum.lo), error)};
    }
    return total;
  }

 private:
  static constexpr std::int64_t kStored = CompensatedLanes::kStored;

  HWY_ALIGN double columns_[kStored * kDoubles] = {};
};

/// Sums a run of at most kSegment values, the `run`-th of those to be reduced.
/// `terms` are those of SumLanes; `terms.From(i)` are those from value i on.
template <class Lanes, class Terms>
HWY_INLINE void SumShortRun(const Terms& terms, std::int64_t count,
                            std::int64_t run, ShortRuns& firsts,
                            ShortRuns& seconds) {
#if HWY_TARGET <= HWY_AVX3
  if constexpr (AddsPairs<Terms>()) {
    LanePairs first;
    LanePairs second;
    AddInPairs(terms, 0, count, first, second);
    firsts.SetPairs(run, first);
    seconds.SetPairs(run, second);
    return;
  }
#endif
  for (std::int64_t lane = 0; lane < kPartialLanes; lane += kDoubles) {
    Lanes first0, first8, first16, first24;
    Lanes second0, second8, second16, second24;
    Terms row = terms.From(lane);
    std::int64_t left = count - lane;
    for (; left >= 24 + kDoubles; left -= kLanes) {
      if constexpr (requires { row.FetchRow(0); }) {
        if (lane == 0) row.FetchRow(0);
      }
      row.Add(0, first0, second0);
      AddOdd(row, 8, first8, second8);
      row.Add(16, first16, second16);
      AddOdd(row, 24, first24, second24);
      row = row.From(kLanes);
    }
    if constexpr (requires { row.FetchRow(0); }) {
      if (lane == 0 && left > 0) row.FetchRow(0);
    }
    const auto add_rest = [&](std::int64_t at, Lanes& first, Lanes& second)
                              HWY_ATTR {
                                if (left >= at + kDoubles) {
                                  row.Add(at, first, second);
                                } else if (left > at) {
                                  row.AddFirst(at, left - at, first, second);
                                }
                                return left > at + kPartialLanes;
                              };
    if (add_rest(0, first0, second0) && add_rest(8, first8, second8) &&
        add_rest(16, first16, second16)) {
      add_rest(24, first24, second24);
    }
    firsts.Set(run, lane, first0, first8, first16, first24);
    seconds.Set(run, lane, second0, second8, second16, second24);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_SHORT_RUNS_INL_H_
