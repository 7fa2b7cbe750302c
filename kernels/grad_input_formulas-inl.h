// The formulas of grad_input on vectors, and their coefficients: docs/math.md,
// "Backward".

#if defined(GROUPNORM_KERNELS_GRAD_INPUT_FORMULAS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_GRAD_INPUT_FORMULAS_INL_H_
#undef GROUPNORM_KERNELS_GRAD_INPUT_FORMULAS_INL_H_
#else
#define GROUPNORM_KERNELS_GRAD_INPUT_FORMULAS_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/backward_plan.h"
#include "kernels/column_sums-inl.h"
#include "kernels/multiply_add.h"
#include "kernels/single.h"
#include "kernels/vectors-inl.h"
#include "tensor/element.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// What dx = scale dy + deviation (x - mean) + constant has of a group, before
/// it is rounded to float32.
struct InputCoefficients {
  explicit InputCoefficients(const GroupGradient& group)
      : mean_hi(static_cast<float>(group.statistics.mean)) {
    const double r = group.statistics.rstd;
    deviation = -(r * r * r) * group.mean_wdy_d;
    // Of x - mean_hi: what mean_hi leaves of the mean goes into the constant.
    const double mean_lo = group.statistics.mean - mean_hi;
    constant = groupnorm::MulAdd(-deviation, mean_lo, -r * group.mean_wdy);
  }

  float mean_hi;
  double deviation;
  double constant;
};

/// The same for float32 arithmetic.
struct SingleConstants {
  explicit SingleConstants(const GroupGradient& group) {
    const InputCoefficients coefficients(group);
    mean = coefficients.mean_hi;
    deviation = static_cast<float>(coefficients.deviation);
    constant = static_cast<float>(coefficients.constant);
  }

  float mean;
  float deviation;
  float constant;
};

/// What dx = rstd (weight dy + deviation xhat + constant) has of a group.
struct DoubleConstants {
  explicit DoubleConstants(const GroupGradient& group)
      : mean(group.statistics.mean),
        deviation(-(group.statistics.rstd * group.mean_wdy_d)),
        constant(-group.mean_wdy),
        rstd(group.statistics.rstd) {}

  double mean;
  double deviation;
  double constant;
  double rstd;
};

template <typename Float>
using ConstantsOf = std::conditional_t<std::is_same_v<Float, double>,
                                       DoubleConstants, SingleConstants>;

/// The factors of dy of `count` channels: rstd weight, or the weight alone
/// where rstd is a factor of the whole. Writes a vector beyond them at most.
template <typename Float>
HWY_INLINE void StoreScales(const GroupGradient& group, bool frozen,
                            const double* weight, std::int64_t count,
                            Float* scales) {
  const Doubles d;
  const auto rstd = hn::Set(d, group.statistics.rstd);
  for (std::int64_t c = 0; c < count; c += kDoubles) {
    const auto w = LoadUpTo(d, weight + c, std::min(kDoubles, count - c));
    if constexpr (std::is_same_v<Float, double>) {
      hn::StoreU(frozen ? hn::Mul(rstd, w) : w, d, scales + c);
    } else {
      static_cast<void>(frozen);
      StoreAs(d, hn::Mul(rstd, w), scales + c);
    }
  }
}

/// The coefficients of a run of elements of one channel.
template <typename Float>
class OneChannel {
 public:
  using Lanes = hn::ScalableTag<Float>;

  HWY_INLINE OneChannel(Float scale, const ConstantsOf<Float>& constants)
      : scale_(scale), constants_(constants) {}

  template <class D>
  HWY_INLINE hn::Vec<D> Scale(D d, std::int64_t /*i*/) const {
    return hn::Set(d, scale_);
  }
  template <class D>
  HWY_INLINE hn::Vec<D> Mean(D d, std::int64_t /*i*/) const {
    return hn::Set(d, constants_.mean);
  }
  template <class D>
  HWY_INLINE hn::Vec<D> Deviation(D d, std::int64_t /*i*/) const {
    return hn::Set(d, constants_.deviation);
  }
  template <class D>
  HWY_INLINE hn::Vec<D> Constant(D d, std::int64_t /*i*/) const {
    return hn::Set(d, constants_.constant);
  }
  template <class D>
  HWY_INLINE hn::Vec<D> Rstd(D d, std::int64_t /*i*/) const {
    return hn::Set(d, constants_.rstd);
  }

 private:
  Float scale_;
  ConstantsOf<Float> constants_;
};

/// The coefficients of consecutive elements of several channels of one group.
template <typename Float>
class RowOfGroup : public OneChannel<Float> {
 public:
  /// A vector may reach beyond the scales.
  HWY_INLINE RowOfGroup(const Float* scales,
                        const ConstantsOf<Float>& constants)
      : OneChannel<Float>(0, constants), scales_(scales) {}

  template <class D>
  HWY_INLINE hn::Vec<D> Scale(D d, std::int64_t i) const {
    return hn::LoadU(d, scales_ + i);
  }

 private:
  const Float* scales_;
};

/// The coefficients of `num_channels` channels of one group, an element each:
/// `factor` times their weights is rounded where it is needed.
template <typename Float>
class WeightedChannels : public OneChannel<Float> {
 public:
  HWY_INLINE WeightedChannels(const double* weight, std::int64_t num_channels,
                              double factor,
                              const ConstantsOf<Float>& constants)
      : OneChannel<Float>(0, constants),
        weight_(weight),
        num_channels_(num_channels),
        factor_(factor) {}

  template <class D>
  HWY_INLINE hn::Vec<D> Scale(D d, std::int64_t i) const {
    if constexpr (std::is_same_v<Float, double>) {
      return Products(i);
    } else {
#if HWY_TARGET == HWY_SCALAR
      return hn::Set(d, static_cast<float>(hn::GetLane(Products(i))));
#else
      const hn::Half<D> half;
      return hn::Combine(d, hn::DemoteTo(half, Products(i + kDoubles)),
                         hn::DemoteTo(half, Products(i)));
#endif
    }
  }

 private:
  // Of channels from i on, then zeros.
  HWY_INLINE DoubleVector Products(std::int64_t i) const {
    const Doubles d;
    const std::int64_t count =
        std::clamp<std::int64_t>(num_channels_ - i, 0, kDoubles);
    return hn::Mul(hn::Set(d, factor_), LoadUpTo(d, weight_ + i, count));
  }

  const double* weight_;
  std::int64_t num_channels_;
  double factor_;
};

/// The coefficients of a row of channels of several groups.
template <typename Float>
class RowOfGroups {
 public:
  using Lanes = hn::ScalableTag<Float>;

  /// Of columns `begin` to `end`, and some more to anything.
  HWY_INLINE void Set(const GroupGradient& group, bool frozen,
                      const double* weight, std::int64_t begin,
                      std::int64_t end) {
    StoreScales(group, frozen, weight, end - begin, scale_ + begin);
    const ConstantsOf<Float> constants(group);
    std::fill(mean_ + begin, mean_ + end, constants.mean);
    std::fill(deviation_ + begin, deviation_ + end, constants.deviation);
    std::fill(constant_ + begin, constant_ + end, constants.constant);
    if constexpr (std::is_same_v<Float, double>) {
      std::fill(rstd_ + begin, rstd_ + end, constants.rstd);
    }
  }

  HWY_INLINE void FoldColumns(const Columns& columns) {
    Fold(columns, scale_);
    Fold(columns, mean_);
    Fold(columns, deviation_);
    Fold(columns, constant_);
    if constexpr (std::is_same_v<Float, double>) Fold(columns, rstd_);
  }

#if HWY_TARGET != HWY_SCALAR
  /// Sets as many columns as two vectors have lanes, from `to` on, to those of
  /// `other` from `from` on, in the order of LoadPairs.
  HWY_INLINE void SetPairs(std::int64_t to, const RowOfGroups& other,
                           std::int64_t from) {
    CopyPairs(Lanes(), other.scale_ + from, scale_ + to);
    CopyPairs(Lanes(), other.mean_ + from, mean_ + to);
    CopyPairs(Lanes(), other.deviation_ + from, deviation_ + to);
    CopyPairs(Lanes(), other.constant_ + from, constant_ + to);
  }
#endif

  template <class D>
  HWY_INLINE hn::Vec<D> Scale(D d, std::int64_t i) const {
    return hn::LoadU(d, scale_ + i);
  }
  template <class D>
  HWY_INLINE hn::Vec<D> Mean(D d, std::int64_t i) const {
    return hn::LoadU(d, mean_ + i);
  }
  template <class D>
  HWY_INLINE hn::Vec<D> Deviation(D d, std::int64_t i) const {
    return hn::LoadU(d, deviation_ + i);
  }
  template <class D>
  HWY_INLINE hn::Vec<D> Constant(D d, std::int64_t i) const {
    return hn::LoadU(d, constant_ + i);
  }
  template <class D>
  HWY_INLINE hn::Vec<D> Rstd(D d, std::int64_t i) const {
    return hn::LoadU(d, rstd_ + i);
  }

 private:
  static constexpr std::int64_t kRstds =
      std::is_same_v<Float, double> ? kColumnCapacity : 1;

  Float scale_[kColumnCapacity];
  Float mean_[kColumnCapacity];
  Float deviation_[kColumnCapacity];
  Float constant_[kColumnCapacity];
  Float rstd_[kRstds];
};

/// How a formula loads its elements.
struct LoadWhole {
  template <class D, typename T>
  HWY_INLINE hn::Vec<D> operator()(D d, const T* p) const {
    return LoadAs(d, p);
  }
};
struct LoadFirst {
  std::int64_t count;

  template <class D, typename T>
  HWY_INLINE hn::Vec<D> operator()(D d, const T* p) const {
    return LoadUpTo(d, p, count);
  }
};

/// dx = scale dy + deviation (x - mean) + constant in float32, and
/// rstd (scale dy + deviation xhat + constant) in float64, which overflows
/// nowhere. Of elements i and following.
struct FullFormula {
  static constexpr bool kMayOverflow = true;

  template <class D, class Coefficients, typename T, class Load>
  static HWY_INLINE hn::Vec<D> Of(D d, const Coefficients& coefficients,
                                  std::int64_t i, const T* x, const T* dy,
                                  Load load) {
    auto difference = hn::Sub(load(d, x + i), coefficients.Mean(d, i));
    if constexpr (std::is_same_v<hn::TFromD<D>, double>) {
      difference = hn::Mul(difference, coefficients.Rstd(d, i));
      const auto wdy = MulAdd(d, coefficients.Scale(d, i), load(d, dy + i),
                              coefficients.Constant(d, i));
      return hn::Mul(coefficients.Rstd(d, i),
                     MulAdd(d, difference, coefficients.Deviation(d, i), wdy));
    } else {
      return MulAdd(d, coefficients.Scale(d, i), load(d, dy + i),
                    MulAdd(d, coefficients.Deviation(d, i), difference,
                           coefficients.Constant(d, i)));
    }
  }
};

/// dx = scale dy.
struct FrozenFormula {
  static constexpr bool kMayOverflow = false;

  template <class D, class Coefficients, typename T, class Load>
  static HWY_INLINE hn::Vec<D> Of(D d, const Coefficients& coefficients,
                                  std::int64_t i, const T* /*x*/, const T* dy,
                                  Load load) {
    return hn::Mul(coefficients.Scale(d, i), load(d, dy + i));
  }
};

template <typename T>
T FrozenElementInDouble(const GroupGradient& group, double weight, T dy) {
  return FromDouble<T>(group.statistics.rstd * weight * ToDouble(dy));
}

/// Whether grad_input of a group of `num_channels` channels may be computed in
/// float32 arithmetic.
inline bool GradInputIsInSingle(const GroupGradient& group, bool frozen,
                                const double* weight,
                                std::int64_t num_channels) {
  const Statistics& statistics = group.statistics;
  if (!IsSingleMean(statistics.mean) || !IsSingleFactor(statistics.rstd)) {
    return false;
  }
  if (!frozen) {
    const InputCoefficients coefficients(group);
    if (!IsSingleFactorOrZero(coefficients.deviation) ||
        !IsSingleFactorOrZero(coefficients.constant)) {
      return false;
    }
  }
  const Doubles d;
  const auto rstd = hn::Set(d, statistics.rstd);
  const auto most = hn::Set(d, kMaxSingleFactor);
  const auto least = hn::Set(d, 1 / kMaxSingleFactor);
  // One branch for all: most groups are.
  auto all = hn::Eq(rstd, rstd);
  for (std::int64_t c = 0; c < num_channels; c += kDoubles) {
    const auto scale = hn::Abs(hn::Mul(
        rstd, LoadUpTo(d, weight + c, std::min(kDoubles, num_channels - c))));
    const auto is_factor = hn::And(hn::Ge(scale, least), hn::Le(scale, most));
    const auto is_zero = hn::Eq(scale, hn::Zero(d));
    all = hn::And(all, hn::Or(is_zero, is_factor));
  }
  return hn::AllTrue(d, all);
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_GRAD_INPUT_FORMULAS_INL_H_
