// Sums in float64 over consecutive values, and down the columns of a matrix,
// whose order of additions is fixed by the number of values alone:
// docs/math.md, "Sums". Everything here adds two quantities at once (x and x^2,
// dy (x - mean) and dy), since every pass of the kernels needs two.

#if defined(GROUPNORM_KERNELS_LANE_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_LANE_SUMS_INL_H_
#undef GROUPNORM_KERNELS_LANE_SUMS_INL_H_
#else
#define GROUPNORM_KERNELS_LANE_SUMS_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "kernels/compensated_sum.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// Lanes of a sum over consecutive values: value i belongs to lane i % kLanes.
inline constexpr std::int64_t kLanes = 32;

/// Values that a lane adds before the lanes are reduced to one sum.
inline constexpr std::int64_t kLaneSteps = 32;

/// Consecutive values that are summed at once; the sums of such segments are
/// then added with their rounding errors kept.
inline constexpr std::int64_t kSegment = kLanes * kLaneSteps;

/// Doubles that remain of the lanes once they are added by whole vectors of the
/// widest target.
inline constexpr std::int64_t kPartialLanes = 8;

/// Sums of lanes whose additions round: the error grows with kLaneSteps.
class PlainLanes {
 public:
  HWY_INLINE PlainLanes() : sum_(hn::Zero(Doubles())) {}

  /// What Save() stored.
  HWY_INLINE PlainLanes(const double* sums, const double* /*errors*/)
      : sum_(hn::LoadU(Doubles(), sums)) {}

  HWY_INLINE void Save(double* sums, double* /*errors*/) const {
    hn::StoreU(sum_, Doubles(), sums);
  }

  HWY_INLINE void Add(DoubleVector value) { sum_ = hn::Add(sum_, value); }

  HWY_INLINE void AddProduct(DoubleVector a, DoubleVector b) {
    sum_ = MulAdd(Doubles(), a, b, sum_);
  }

  /// Lane 0 of this vector is lane `lane` of the run.
  HWY_INLINE void Store(double* lanes, std::int64_t lane) const {
    hn::Store(sum_, Doubles(), lanes + lane);
  }

  HWY_INLINE DoubleVector sum() const { return sum_; }
  HWY_INLINE DoubleVector error() const { return hn::Zero(Doubles()); }

  static constexpr std::int64_t kStored = kLanes;

  static HWY_INLINE CompensatedSum Reduce(double* lanes) {
    AddUpperHalves(lanes);
    return CompensatedSum(((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
                          ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7])));
  }

  /// Leaves kPartialLanes lanes.
  static HWY_INLINE void AddUpperHalves(double* lanes) {
    const Doubles d;
    for (std::int64_t half = kLanes / 2; half >= kPartialLanes; half /= 2) {
      for (std::int64_t i = 0; i < half; i += kDoubles) {
        hn::Store(
            hn::Add(hn::Load(d, lanes + i), hn::Load(d, lanes + half + i)), d,
            lanes + i);
      }
    }
  }

 private:
  DoubleVector sum_;
};

/// Sums of lanes that keep their rounding errors beside them (Knuth's TwoSum).
/// Some of the additions are multiplications by 1 or -1 as well, which changes
/// no bit: the units that multiply are idle otherwise.
class CompensatedLanes {
 public:
  HWY_INLINE CompensatedLanes()
      : sum_(hn::Zero(Doubles())), error_(hn::Zero(Doubles())) {}

  /// What Save() stored.
  HWY_INLINE CompensatedLanes(const double* sums, const double* errors)
      : sum_(hn::LoadU(Doubles(), sums)),
        error_(hn::LoadU(Doubles(), errors)) {}

  HWY_INLINE void Save(double* sums, double* errors) const {
    hn::StoreU(sum_, Doubles(), sums);
    hn::StoreU(error_, Doubles(), errors);
  }

  HWY_INLINE void Add(DoubleVector value) {
    const Doubles d;
    const auto one = hn::Set(d, 1.0);
    const auto minus_one = hn::Set(d, -1.0);
    const auto sum = MulAdd(d, value, one, sum_);
    const auto part = hn::Sub(sum, sum_);
    const auto value_rest = MulAdd(d, part, minus_one, value);
    const auto sum_part = MulAdd(d, part, minus_one, sum);
    const auto sum_rest = hn::Sub(sum_, sum_part);
    error_ = hn::Add(error_, hn::Add(sum_rest, value_rest));
    sum_ = sum;
  }

  HWY_INLINE void AddProduct(DoubleVector a, DoubleVector b) {
    Add(hn::Mul(a, b));
  }

  HWY_INLINE void Store(double* lanes, std::int64_t lane) const {
    hn::Store(sum_, Doubles(), lanes + lane);
    hn::Store(error_, Doubles(), lanes + kLanes + lane);
  }

  HWY_INLINE DoubleVector sum() const { return sum_; }
  HWY_INLINE DoubleVector error() const { return error_; }

  static constexpr std::int64_t kStored = 2 * kLanes;

  static HWY_INLINE CompensatedSum Reduce(double* lanes) {
    CompensatedSum total;
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      total.Add(CompensatedSum(lanes[lane], lanes[kLanes + lane]));
    }
    return total;
  }

 private:
  DoubleVector sum_;
  DoubleVector error_;
};

/// Adds a vector of terms in the way that suits every other one, where there is
/// one of its own: `terms.AddOddVector`. The same bits as `terms.Add`.
template <class First, class Second, class Terms>
HWY_INLINE void AddOdd(const Terms& terms, std::int64_t i, First& first,
                       Second& second) {
  if constexpr (requires { terms.AddOddVector(i, first, second); }) {
    terms.AddOddVector(i, first, second);
  } else {
    terms.Add(i, first, second);
  }
}

/// The lanes of a sum in the order of LoadPairs: those of the first 16 values
/// of a row and of the others, the even and the odd ones.
struct LanePairs {
  // The compiler's own would not be for the target.
  HWY_INLINE LanePairs() : even0(), odd0(), even16(), odd16() {}

  PlainLanes even0, odd0, even16, odd16;
};

/// Whether terms are added in pairs, as those say that can be: `terms.AddPairs`
/// and `terms.AddFirstPairs` are to 16 values what Add and AddFirst of SumLanes
/// are to a vector.
template <class Terms>
constexpr bool AddsPairs() {
  if constexpr (requires { Terms::kAddsPairs; }) {
    return Terms::kAddsPairs;
  } else {
    return false;
  }
}

/// Adds values `begin` to `end`.
template <class Terms>
HWY_INLINE void AddInPairs(const Terms& terms, std::int64_t begin,
                           std::int64_t end, LanePairs& first,
                           LanePairs& second) {
  constexpr std::int64_t kHalf = kLanes / 2;
  std::int64_t i = begin;
  for (; i + kLanes <= end; i += kLanes) {
    if constexpr (requires { terms.FetchRow(i); }) terms.FetchRow(i);
    terms.AddPairs(i, first.even0, second.even0, first.odd0, second.odd0);
    terms.AddPairs(i + kHalf, first.even16, second.even16, first.odd16,
                   second.odd16);
  }
  if (i == end) return;
  if constexpr (requires { terms.FetchRow(i); }) terms.FetchRow(i);
  if (i + kHalf > end) {
    terms.AddFirstPairs(i, end - i, first.even0, second.even0, first.odd0,
                        second.odd0);
    return;
  }
  terms.AddPairs(i, first.even0, second.even0, first.odd0, second.odd0);
  if (i + kHalf < end) {
    terms.AddFirstPairs(i + kHalf, end - i - kHalf, first.even16, second.even16,
                        first.odd16, second.odd16);
  }
}

#if HWY_TARGET != HWY_SCALAR
/// Stores the lanes in their order.
HWY_INLINE void StorePairs(const LanePairs& pairs, double* lanes) {
  const Doubles d;
  hn::StoreInterleaved2(pairs.even0.sum(), pairs.odd0.sum(), d, lanes);
  hn::StoreInterleaved2(pairs.even16.sum(), pairs.odd16.sum(), d,
                        lanes + kLanes / 2);
}
#endif

/// Adds the values of a segment lane by lane, and stores the lanes.
/// `terms.Add(i, first, second)` adds those from value i on, a vector of them,
/// and `terms.AddFirst(i, count, first, second)` the first `count` alone.
/// `terms.FetchRow(i)`, where there is one, is called for every row of kLanes
/// values.
template <class First, class Second, class Terms>
HWY_INLINE void SumLanes(const Terms& terms, std::int64_t begin,
                         std::int64_t end, double* first_lanes,
                         double* second_lanes) {
#if HWY_TARGET != HWY_SCALAR
  if constexpr (AddsPairs<Terms>()) {
    LanePairs first;
    LanePairs second;
    AddInPairs(terms, begin, end, first, second);
    StorePairs(first, first_lanes);
    StorePairs(second, second_lanes);
    return;
  }
#endif
  // As many vectors at a time as have room in the registers of AVX2 and hide
  // the latency of an addition.
  constexpr std::int64_t kVectors = 4;
  constexpr std::int64_t kWidth = kVectors * kDoubles;
  for (std::int64_t lane = 0; lane < kLanes; lane += kWidth) {
    First first0, first1, first2, first3;
    Second second0, second1, second2, second3;
    std::int64_t i = begin + lane;
    for (; i + kWidth <= end; i += kLanes) {
      if constexpr (requires { terms.FetchRow(i); }) {
        if (lane == 0) terms.FetchRow(i);
      }
      terms.Add(i, first0, second0);
      AddOdd(terms, i + kDoubles, first1, second1);
      terms.Add(i + 2 * kDoubles, first2, second2);
      AddOdd(terms, i + 3 * kDoubles, first3, second3);
    }
    if constexpr (requires { terms.FetchRow(i); }) {
      if (lane == 0 && i < end) terms.FetchRow(i);
    }
    const auto add_rest = [&](std::int64_t at, First& first, Second& second)
                              HWY_ATTR {
                                if (end - at >= kDoubles) {
                                  terms.Add(at, first, second);
                                } else if (end > at) {
                                  terms.AddFirst(at, end - at, first, second);
                                }
                              };
    add_rest(i, first0, second0);
    add_rest(i + kDoubles, first1, second1);
    add_rest(i + 2 * kDoubles, first2, second2);
    add_rest(i + 3 * kDoubles, first3, second3);
    first0.Store(first_lanes, lane);
    first1.Store(first_lanes, lane + kDoubles);
    first2.Store(first_lanes, lane + 2 * kDoubles);
    first3.Store(first_lanes, lane + 3 * kDoubles);
    second0.Store(second_lanes, lane);
    second1.Store(second_lanes, lane + kDoubles);
    second2.Store(second_lanes, lane + 2 * kDoubles);
    second3.Store(second_lanes, lane + 3 * kDoubles);
  }
}

/// Sums a run of `count` consecutive values: segment by segment, whose sums are
/// added with their rounding errors kept.
template <class First, class Second, class Terms>
HWY_NOINLINE CompensatedPair SumRun(const Terms& terms, std::int64_t count) {
  HWY_ALIGN double first_lanes[First::kStored];
  HWY_ALIGN double second_lanes[Second::kStored];
  CompensatedPair total;
  for (std::int64_t begin = 0; begin < count; begin += kSegment) {
    SumLanes<First, Second>(terms, begin, std::min(count, begin + kSegment),
                            first_lanes, second_lanes);
    total.Add({First::Reduce(first_lanes), Second::Reduce(second_lanes)});
  }
  return total;
}

/// The lanes of two sums over a block of at most kBlockElements values, without
/// their rounding errors: each lane adds up its sums of the segments. A fifth
/// faster than SumRun.
class PlainSums {
 public:
  template <class Terms>
  HWY_INLINE void AddSegment(const Terms& terms, std::int64_t begin,
                             std::int64_t end) {
    HWY_ALIGN double first[kLanes];
    HWY_ALIGN double second[kLanes];
    SumLanes<PlainLanes, PlainLanes>(terms, begin, end, first, second);
    AddLanes(first, second);
  }

  /// Adds the lanes of a segment.
  HWY_INLINE void AddLanes(const double* first, const double* second) {
    const Doubles d;
    for (std::int64_t i = 0; i < kLanes; i += kDoubles) {
      auto sum = hn::Load(d, first + i);
      auto other = hn::Load(d, second + i);
      if (!empty_) {
        sum = hn::Add(hn::Load(d, first_ + i), sum);
        other = hn::Add(hn::Load(d, second_ + i), other);
      }
      hn::Store(sum, d, first_ + i);
      hn::Store(other, d, second_ + i);
    }
    empty_ = false;
  }

  /// The sums of all segments; no more can be added.
  CompensatedPair Reduce() {
    return {PlainLanes::Reduce(first_), PlainLanes::Reduce(second_)};
  }

 private:
  bool empty_ = true;
  HWY_ALIGN double first_[kLanes];
  HWY_ALIGN double second_[kLanes];
};

template <class Terms>
HWY_NOINLINE CompensatedPair SumBlockPlainly(const Terms& terms,
                                             std::int64_t count) {
  if (count <= kSegment) {
    HWY_ALIGN double first[kLanes];
    HWY_ALIGN double second[kLanes];
    SumLanes<PlainLanes, PlainLanes>(terms, 0, count, first, second);
    return {PlainLanes::Reduce(first), PlainLanes::Reduce(second)};
  }
  PlainSums sums;
  for (std::int64_t begin = 0; begin < count; begin += kSegment) {
    sums.AddSegment(terms, begin, std::min(count, begin + kSegment));
  }
  return sums.Reduce();
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_LANE_SUMS_INL_H_
