// grad_input of consecutive channels of one group that have at least as many
// elements as a vector: whole aligned vectors are written, also where two
// channels meet in one.

#if defined(GROUPNORM_KERNELS_GRAD_INPUT_CHANNELS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_GRAD_INPUT_CHANNELS_INL_H_
#undef GROUPNORM_KERNELS_GRAD_INPUT_CHANNELS_INL_H_
#else
#define GROUPNORM_KERNELS_GRAD_INPUT_CHANNELS_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/element_loops-inl.h"
#include "kernels/grad_input_formulas-inl.h"
#include "kernels/vectors-inl.h"
#include "tensor/element.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// Elements that are written at once.
template <typename Float, typename T>
inline constexpr std::int64_t kStepElements =
    static_cast<std::int64_t>(hn::MaxLanes(hn::ScalableTag<Float>())) *
    (kInPairs<T> ? 2 : 1);

/// Shorter channels are not worth it, or more than two of them meet in a step.
template <typename Float, typename T>
inline constexpr std::int64_t kShortestChannel =
    std::max<std::int64_t>(16, kStepElements<Float, T>);

/// Consecutive elements of one group.
template <typename Float>
struct ChannelRun {
  const double* weight;  ///< Of the first element's channel and the next ones.
  double factor;         ///< Times a weight, it is a channel's factor of dy.
  ConstantsOf<Float> constants;
  std::int64_t spatial;
  std::int64_t position;  ///< Of the first element within its channel.
  std::int64_t count;
};

/// The coefficients of a vector of elements of one group.
template <typename Float>
class GroupVectors {
 public:
  using D = hn::ScalableTag<Float>;
  using Vector = hn::Vec<D>;

  HWY_INLINE explicit GroupVectors(const ConstantsOf<Float>& constants)
      : scale_(hn::Zero(D())),
        mean_(hn::Set(D(), constants.mean)),
        deviation_(hn::Set(D(), constants.deviation)),
        constant_(hn::Set(D(), constants.constant)),
        rstd_(hn::Zero(D())) {
    if constexpr (std::is_same_v<Float, double>) {
      rstd_ = hn::Set(D(), constants.rstd);
    }
  }

  /// The same beside another factor of dy.
  HWY_INLINE GroupVectors With(Vector scale) const {
    GroupVectors vectors = *this;
    vectors.scale_ = scale;
    return vectors;
  }

  HWY_INLINE Vector Scale(D /*d*/, std::int64_t /*i*/) const { return scale_; }
  HWY_INLINE Vector Mean(D /*d*/, std::int64_t /*i*/) const { return mean_; }
  HWY_INLINE Vector Deviation(D /*d*/, std::int64_t /*i*/) const {
    return deviation_;
  }
  HWY_INLINE Vector Constant(D /*d*/, std::int64_t /*i*/) const {
    return constant_;
  }
  HWY_INLINE Vector Rstd(D /*d*/, std::int64_t /*i*/) const { return rstd_; }

 private:
  Vector scale_;
  Vector mean_;
  Vector deviation_;
  Vector constant_;
  Vector rstd_;
};

/// The even, or the odd ones of kPairs elements.
template <bool kOdd>
struct LoadHalf {
  HWY_INLINE SingleVector operator()(Singles /*d*/, const Bfloat16* p) const {
    SingleVector even, odd;
    LoadPairs(p, even, odd);
    return kOdd ? odd : even;
  }
};

/// What computes a run step by step.
template <class Formula, bool kStream, typename Float, typename T>
class ChannelsMap {
 public:
  using D = hn::ScalableTag<Float>;
  using Vector = hn::Vec<D>;

  static constexpr std::int64_t kStep = kStepElements<Float, T>;

  HWY_INLINE ChannelsMap(const ChannelRun<Float>& run, const T* x, const T* dy,
                         T* dx, std::int64_t fetch_ahead)
      : run_(run),
        x_(x),
        dy_(dy),
        dx_(dx),
        fetch_ahead_(fetch_ahead),
        end_(run.spatial - run.position),
        coefficients_(run.constants),
        product_(hn::Zero(D())) {
    scale_ = ScaleOf(0);
  }

  /// Returns whether all results are finite, where the formula may overflow.
  HWY_INLINE bool Compute() {
    const std::int64_t count = run_.count;
    std::int64_t i = 0;
    const std::int64_t head = std::min(ElementsToLine(dx_), count);
    for (; i < head; i += kLanesOfVector) {
      Partly(i, std::min(kLanesOfVector, head - i));
    }
    for (i = head; i + kStep <= count;) {
      if (i == end_) ToNextChannel();
      const std::int64_t end = std::min(end_, count);
      for (; i + 4 * kStep <= end; i += 4 * kStep) {
        const auto v0 = Step(i, scale_, scale_);
        const auto v1 = Step(i + kStep, scale_, scale_);
        const auto v2 = Step(i + 2 * kStep, scale_, scale_);
        const auto v3 = Step(i + 3 * kStep, scale_, scale_);
        Check(hn::Add(hn::Add(v0, v1), hn::Add(v2, v3)));
      }
      for (; i + kStep <= end; i += kStep) {
        Check(Step(i, scale_, scale_));
      }
      if (i < end_ && i + kStep <= count) {
        StepAcross(i);
        i += kStep;
      }
    }
    for (; i < count; i += kLanesOfVector) {
      Partly(i, std::min(kLanesOfVector, count - i));
    }
    return hn::AllTrue(D(), hn::Eq(product_, hn::Zero(D())));
  }

 private:
  static constexpr auto kLanesOfVector =
      static_cast<std::int64_t>(hn::MaxLanes(D()));

  HWY_INLINE Vector ScaleOf(std::int64_t channel) const {
    return hn::Set(D(), static_cast<Float>(run_.factor * run_.weight[channel]));
  }

  HWY_INLINE void ToNextChannel() {
    ++channel_;
    end_ += run_.spatial;
    scale_ = ScaleOf(channel_);
  }

  // `first` where a lane is one of the first `count`, else that of now.
  HWY_INLINE Vector Blend(Vector first, std::int64_t count) const {
    return hn::IfThenElse(hn::FirstN(D(), static_cast<std::size_t>(count)),
                          first, scale_);
  }

  // The sums of some results are NaN or infinite where one of them is; 0 times
  // that is NaN.
  HWY_INLINE void Check(Vector sum) {
    if constexpr (Formula::kMayOverflow) {
      product_ = MulAdd(D(), sum, hn::Zero(D()), product_);
    }
  }

  // `scale` is that of the first vector, `odd` that of the other one of pairs.
  // Returns the sum of the results.
  HWY_INLINE Vector Step(std::int64_t i, Vector scale, Vector odd) const {
    const D d;
    if constexpr (kStream) {
      FetchLines(dy_ + i + fetch_ahead_,
                 kStep * static_cast<std::int64_t>(sizeof(T)));
    }
    if constexpr (kInPairs<T>) {
      return StepOfPairs(i, scale, odd);
    } else {
      const auto v = Formula::Of(d, coefficients_.With(scale), 0, x_ + i,
                                 dy_ + i, LoadWhole());
      if constexpr (kStream) {
        StreamAs(d, v, dx_ + i);
      } else {
        StoreAs(d, v, dx_ + i);
      }
      return v;
    }
  }

#if HWY_TARGET != HWY_SCALAR
  HWY_INLINE Vector StepOfPairs(std::int64_t i, Vector scale,
                                Vector odd_scale) const {
    const D d;
    const auto even = Formula::Of(d, coefficients_.With(scale), 0, x_ + i,
                                  dy_ + i, LoadHalf<false>());
    const auto odd = Formula::Of(d, coefficients_.With(odd_scale), 0, x_ + i,
                                 dy_ + i, LoadHalf<true>());
    const hn::RebindToUnsigned<Singles> u;
    // Where the formula may overflow, results that are not finite are computed
    // anew.
    hn::Vec<hn::RebindToUnsigned<Singles>> rounded;
    if constexpr (Formula::kMayOverflow) {
      rounded = RoundPairs(even, odd);
    } else {
      rounded =
          hn::Or(hn::ShiftRight<16>(ToUpperBfloat16(d, even)),
                 hn::And(ToUpperBfloat16(d, odd), hn::Set(u, 0xFFFF0000U)));
    }
    StorePairs<kStream>(rounded, dx_ + i);
    return hn::Add(even, odd);
  }
#endif

  // A step that begins in this channel and ends in the next one.
  HWY_INLINE void StepAcross(std::int64_t i) {
    const std::int64_t left = end_ - i;
    const auto scale = scale_;
    ToNextChannel();
    if constexpr (kInPairs<T>) {
      Check(Step(i, Blend(scale, (left + 1) / 2), Blend(scale, left / 2)));
    } else {
      const auto blended = Blend(scale, left);
      Check(Step(i, blended, blended));
    }
  }

  // The `count` elements from the i-th on, at most those of a vector.
  HWY_INLINE void Partly(std::int64_t i, std::int64_t count) {
    const D d;
    auto scale = scale_;
    if (const std::int64_t left = end_ - i; left < count) {
      ToNextChannel();
      scale = Blend(scale, left);
    }
    const LoadFirst load = {count};
    const auto v =
        Formula::Of(d, coefficients_.With(scale), 0, x_ + i, dy_ + i, load);
    StoreUpTo(d, v, dx_ + i, count);
    const auto in_run = hn::FirstN(d, static_cast<std::size_t>(count));
    Check(hn::IfThenElseZero(in_run, v));
  }

  const ChannelRun<Float>& run_;
  const T* HWY_RESTRICT x_;
  const T* HWY_RESTRICT dy_;
  T* HWY_RESTRICT dx_;
  std::int64_t fetch_ahead_;
  std::int64_t channel_ = 0;  // Of the next element; counts from the first.
  std::int64_t end_;          // Of that channel, within the run.
  GroupVectors<Float> coefficients_;
  Vector scale_;
  Vector product_;
};

/// Computes the run whose first elements these are: past the caches if
/// `kStream`, and then fetches what lies `fetch_ahead` elements behind in `dy`
/// (the sums fetch the rest in time). Returns whether all results are finite,
/// where the formula may overflow; the others are unspecified.
template <class Formula, bool kStream, typename Float, typename T>
HWY_NOINLINE bool MapChannels(const ChannelRun<Float>& run, const T* x,
                              const T* dy, T* dx, std::int64_t fetch_ahead) {
  ChannelsMap<Formula, kStream, Float, T> map(run, x, dy, dx, fetch_ahead);
  return map.Compute();
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_GRAD_INPUT_CHANNELS_INL_H_
