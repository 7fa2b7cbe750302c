// What the output is computed by, of an element and the coefficients of its
// channel: docs/math.md, "Forward".

#if defined(GROUPNORM_KERNELS_AFFINE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_AFFINE_INL_H_
#undef GROUPNORM_KERNELS_AFFINE_INL_H_
#else
#define GROUPNORM_KERNELS_AFFINE_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "kernels/column_sums-inl.h"
#include "kernels/moments.h"
#include "kernels/single.h"
#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// weight and bias of a run of channels.
struct Parameters {
  const double* weight;
  const double* bias;
};

/// y = x scale + shift, rounded but once or twice, of columns: the coefficients
/// are sums of two float32 numbers.
struct SingleAffine {
  using Lanes = Singles;

  HWY_ALIGN float scale_hi[kColumnCapacity];
  HWY_ALIGN float scale_lo[kColumnCapacity];
  HWY_ALIGN float shift_hi[kColumnCapacity];
  HWY_ALIGN float shift_lo[kColumnCapacity];

  /// Sets columns `begin` to `end` (and some more, to anything) to the channels
  /// from `parameters` on.
  HWY_INLINE void Set(std::int64_t begin, std::int64_t end,
                      const Statistics& statistics,
                      const Parameters& parameters) {
    const Doubles d;
    const auto mean = hn::Set(d, -statistics.mean);
    const auto rstd = hn::Set(d, statistics.rstd);
    for (std::int64_t i = begin; i < end; i += kDoubles) {
      const std::int64_t count = std::min(kDoubles, end - i);
      const auto scale =
          hn::Mul(rstd, LoadUpTo(d, parameters.weight + (i - begin), count));
      const auto shift = MulAdd(
          d, mean, scale, LoadUpTo(d, parameters.bias + (i - begin), count));
      StoreSplit(scale, scale_hi + i, scale_lo + i);
      StoreSplit(shift, shift_hi + i, shift_lo + i);
    }
  }

  /// Copies column `from` of `other` to columns `begin` to `end`.
  HWY_INLINE void Repeat(const SingleAffine& other, std::int64_t from,
                         std::int64_t begin, std::int64_t end) {
    std::fill(scale_hi + begin, scale_hi + end, other.scale_hi[from]);
    std::fill(scale_lo + begin, scale_lo + end, other.scale_lo[from]);
    std::fill(shift_hi + begin, shift_hi + end, other.shift_hi[from]);
    std::fill(shift_lo + begin, shift_lo + end, other.shift_lo[from]);
  }

#if HWY_TARGET != HWY_SCALAR
  /// Sets kPairs columns from `to` on to those of `other` from `from` on: the
  /// even ones, then the odd ones.
  HWY_INLINE void SetPairs(std::int64_t to, const SingleAffine& other,
                           std::int64_t from) {
    CopyPairs(Singles(), other.scale_hi + from, scale_hi + to);
    CopyPairs(Singles(), other.scale_lo + from, scale_lo + to);
    CopyPairs(Singles(), other.shift_hi + from, shift_hi + to);
    CopyPairs(Singles(), other.shift_lo + from, shift_lo + to);
  }
#endif

  HWY_INLINE void FoldColumns(const Columns& columns) {
    Fold(columns, scale_hi);
    Fold(columns, scale_lo);
    Fold(columns, shift_hi);
    Fold(columns, shift_lo);
  }

  static HWY_INLINE SingleVector Apply(SingleVector x, SingleVector scale,
                                       SingleVector scale_rest,
                                       SingleVector shift,
                                       SingleVector shift_rest) {
    const Singles d;
    return hn::Add(MulAdd(d, x, scale, shift),
                   MulAdd(d, x, scale_rest, shift_rest));
  }

  /// The map of a run of elements of one column.
  struct ColumnMap {
    using IsFinite = void;

    SingleVector scale;
    SingleVector scale_rest;
    SingleVector shift;
    SingleVector shift_rest;

    HWY_INLINE SingleVector operator()(SingleVector x,
                                       std::int64_t /*i*/) const {
      return Apply(x, scale, scale_rest, shift, shift_rest);
    }
  };
  HWY_INLINE ColumnMap OfColumn(std::int64_t c) const {
    const Singles d;
    return {hn::Set(d, scale_hi[c]), hn::Set(d, scale_lo[c]),
            hn::Set(d, shift_hi[c]), hn::Set(d, shift_lo[c])};
  }

  /// The map of a vector of elements, of the columns from `c` on.
  HWY_INLINE auto OfVector(std::int64_t c) const {
    const Singles d;
    const auto scale = hn::LoadU(d, scale_hi + c);
    const auto scale_rest = hn::LoadU(d, scale_lo + c);
    const auto shift = hn::LoadU(d, shift_hi + c);
    const auto shift_rest = hn::LoadU(d, shift_lo + c);
    return [=](SingleVector x) HWY_ATTR {
      return Apply(x, scale, scale_rest, shift, shift_rest);
    };
  }

  /// The map of a row of elements, from column `begin` on.
  HWY_INLINE auto OfRow(std::int64_t begin) const {
    return [this, begin](SingleVector x, std::int64_t i) HWY_ATTR {
      const Singles d;
      const std::int64_t c = begin + i;
      return Apply(x, hn::LoadU(d, scale_hi + c), hn::LoadU(d, scale_lo + c),
                   hn::LoadU(d, shift_hi + c), hn::LoadU(d, shift_lo + c));
    };
  }

 private:
  static HWY_INLINE void StoreSplit(DoubleVector v, float* hi, float* lo) {
    const Doubles d;
    const hn::Rebind<float, Doubles> singles;
    const auto rounded = hn::DemoteTo(singles, v);
    hn::StoreU(rounded, singles, hi);
    hn::StoreU(hn::DemoteTo(singles, hn::Sub(v, hn::PromoteTo(d, rounded))),
               singles, lo);
  }
};

/// Whether a group of own statistics and this variance may be normalised by
/// SingleAffine within the bounds: docs/math.md, "Forward".
inline bool IsInSingle(const Statistics& statistics,
                       const Parameters& parameters, std::int64_t num_channels,
                       std::int64_t spatial) {
  const double mean = statistics.mean;
  if (!IsSingleMean(mean) || !IsSingleFactor(statistics.rstd) ||
      !(mean * mean <= kMaxAffineRatio * statistics.variance)) {
    return false;
  }
  // NormalizeChannels looks at the channels itself.
  if (spatial == 1) return true;
  const Doubles d;
  const auto rstd = hn::Set(d, statistics.rstd);
  const auto max_factor = hn::Set(d, kMaxSingleFactor);
  const auto min_factor = hn::Set(d, 1 / kMaxSingleFactor);
  for (std::int64_t i = 0; i < num_channels; i += kDoubles) {
    const std::int64_t count = std::min(kDoubles, num_channels - i);
    const auto weight = LoadUpTo(d, parameters.weight + i, count);
    const auto bias = LoadUpTo(d, parameters.bias + i, count);
    const auto scale = hn::Mul(rstd, weight);
    const auto shift = MulAdd(d, hn::Set(d, -mean), scale, bias);
    const auto magnitude = hn::Abs(scale);
    const auto is_factor =
        hn::And(hn::Ge(magnitude, min_factor), hn::Le(magnitude, max_factor));
    const auto fits =
        hn::And(hn::And(hn::Le(hn::Abs(shift), max_factor),
                        hn::Le(hn::Abs(bias), max_factor)),
                hn::Le(hn::Abs(weight), hn::Set(d, kMaxSingleWeight)));
    const auto is_zero = hn::Eq(scale, hn::Zero(d));
    if (!hn::AllTrue(d, hn::And(fits, hn::Or(is_zero, is_factor)))) {
      return false;
    }
  }
  return true;
}

/// y = ((x - mean) - mean_lo) rstd weight + bias, of columns.
struct DoubleAffine {
  using Lanes = Doubles;

  double mean[kColumnCapacity];
  double mean_lo[kColumnCapacity];
  double rstd[kColumnCapacity];
  double weight[kColumnCapacity];
  double bias[kColumnCapacity];

  HWY_INLINE void Set(std::int64_t begin, std::int64_t end,
                      const Statistics& statistics,
                      const Parameters& parameters) {
    std::fill(mean + begin, mean + end, statistics.mean);
    std::fill(mean_lo + begin, mean_lo + end, statistics.mean_lo);
    std::fill(rstd + begin, rstd + end, statistics.rstd);
    std::copy_n(parameters.weight, end - begin, weight + begin);
    std::copy_n(parameters.bias, end - begin, bias + begin);
  }

  HWY_INLINE void Repeat(const DoubleAffine& other, std::int64_t from,
                         std::int64_t begin, std::int64_t end) {
    std::fill(mean + begin, mean + end, other.mean[from]);
    std::fill(mean_lo + begin, mean_lo + end, other.mean_lo[from]);
    std::fill(rstd + begin, rstd + end, other.rstd[from]);
    std::fill(weight + begin, weight + end, other.weight[from]);
    std::fill(bias + begin, bias + end, other.bias[from]);
  }

  HWY_INLINE void FoldColumns(const Columns& columns) {
    for (double* values : {mean, mean_lo, rstd, weight, bias}) {
      Fold(columns, values);
    }
  }

  static HWY_INLINE DoubleVector Apply(DoubleVector x, DoubleVector mean,
                                       DoubleVector mean_lo, DoubleVector rstd,
                                       DoubleVector weight, DoubleVector bias) {
    const auto deviation = hn::Sub(hn::Sub(x, mean), mean_lo);
    return MulAdd(Doubles(), hn::Mul(deviation, rstd), weight, bias);
  }

  HWY_INLINE auto OfColumn(std::int64_t c) const {
    const Doubles d;
    const auto m = hn::Set(d, mean[c]);
    const auto m_lo = hn::Set(d, mean_lo[c]);
    const auto r = hn::Set(d, rstd[c]);
    const auto w = hn::Set(d, weight[c]);
    const auto b = hn::Set(d, bias[c]);
    return [=](DoubleVector x, std::int64_t)
               HWY_ATTR { return Apply(x, m, m_lo, r, w, b); };
  }

  HWY_INLINE auto OfVector(std::int64_t c) const {
    const Doubles d;
    const auto m = hn::LoadU(d, mean + c);
    const auto m_lo = hn::LoadU(d, mean_lo + c);
    const auto r = hn::LoadU(d, rstd + c);
    const auto w = hn::LoadU(d, weight + c);
    const auto b = hn::LoadU(d, bias + c);
    return [=](DoubleVector x) HWY_ATTR { return Apply(x, m, m_lo, r, w, b); };
  }

  HWY_INLINE auto OfRow(std::int64_t begin) const {
    return [this, begin](DoubleVector x, std::int64_t i) HWY_ATTR {
      const Doubles d;
      const std::int64_t c = begin + i;
      return Apply(x, hn::LoadU(d, mean + c), hn::LoadU(d, mean_lo + c),
                   hn::LoadU(d, rstd + c), hn::LoadU(d, weight + c),
                   hn::LoadU(d, bias + c));
    };
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_AFFINE_INL_H_
