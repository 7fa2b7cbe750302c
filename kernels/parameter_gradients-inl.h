// grad_weight and grad_bias from the sums over the channels of each sample.

#if defined(GROUPNORM_KERNELS_PARAMETER_GRADIENTS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_PARAMETER_GRADIENTS_INL_H_
#undef GROUPNORM_KERNELS_PARAMETER_GRADIENTS_INL_H_
#else
#define GROUPNORM_KERNELS_PARAMETER_GRADIENTS_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "kernels/backward_plan.h"
#include "kernels/group_norm.h"
#include "kernels/vectors-inl.h"
#include "tensor/group_geometry.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// The gradients of weight and bias of one Backward: a row for each sample,
/// which are what is asked for, or are folded.
class ParameterGradients {
 public:
  /// What is referred to has to live as long.
  ParameterGradients(const BackwardProblem& problem,
                     const BackwardOperands& operands, const BackwardPlan& plan,
                     const BackwardPlan::Scratch& scratch)
      : problem_(problem),
        operands_(operands),
        plan_(plan),
        channels_(problem.geometry.channels),
        scratch_(scratch) {}

  /// Where the row of a sample begins, the `sample`-th of all and the
  /// `index`-th of its window; null for what is not wanted.
  HWY_INLINE ChannelSums RowOf(std::int64_t sample, std::int64_t index) const {
    const bool per_sample = problem_.per_sample_gradients;
    ChannelSums row;
    if (problem_.want_grad_weight) {
      row.ds = per_sample ? operands_.grad_weight + sample * channels_
                          : scratch_.sums.ds + index * channels_;
    }
    if (problem_.want_grad_bias) {
      row.db = per_sample ? operands_.grad_bias + sample * channels_
                          : scratch_.sums.db + index * channels_;
    }
    return row;
  }

  /// Stores those of a group of channels where they are wanted or will be
  /// folded, there in the place of the channels' sums.
  HWY_NOINLINE void Store(std::int64_t sample, std::int64_t channel,
                          std::int64_t num_channels, double rstd,
                          const ChannelSums& sums) const {
    if (plan_.folds() && problem_.want_grad_weight) {
      Multiply(sums.ds, rstd, num_channels, sums.ds);
    }
    if (!problem_.per_sample_gradients) return;
    const std::int64_t i = sample * channels_ + channel;
    if (problem_.want_grad_weight) {
      Multiply(sums.ds, rstd, num_channels, operands_.grad_weight + i);
    }
    if (problem_.want_grad_bias) {
      std::copy_n(sums.db, num_channels, operands_.grad_bias + i);
    }
  }

  /// Adds the window's samples, in their order, to grad_weight and grad_bias of
  /// channels `begin` to `end`.
  HWY_NOINLINE void Fold(const BackwardPlan::Window& window, std::int64_t begin,
                         std::int64_t end) const {
    if (problem_.want_grad_weight) {
      FoldRows(window, scratch_.sums.ds, begin, end, operands_.grad_weight);
    }
    if (problem_.want_grad_bias) {
      FoldRows(window, scratch_.sums.db, begin, end, operands_.grad_bias);
    }
  }

 private:
  static void Multiply(const double* values, double factor, std::int64_t count,
                       double* products) {
    const Doubles d;
    for (std::int64_t i = 0; i < count; i += kDoubles) {
      StoreUpTo(d,
                hn::Mul(LoadUpTo(d, values + i, std::min(kDoubles, count - i)),
                        hn::Set(d, factor)),
                products + i, std::min(kDoubles, count - i));
    }
  }

  HWY_NOINLINE void FoldRows(const BackwardPlan::Window& window,
                             const double* rows, std::int64_t begin,
                             std::int64_t end, double* gradient) const {
    if (window.first == 0) std::fill(gradient + begin, gradient + end, 0.0);
    const Doubles d;

    std::int64_t c = begin;
    // Rows lie far apart: some cache lines of each.
    for (; c + 4 * kDoubles <= end; c += 4 * kDoubles) {
      auto total0 = hn::LoadU(d, gradient + c);
      auto total1 = hn::LoadU(d, gradient + c + kDoubles);
      auto total2 = hn::LoadU(d, gradient + c + 2 * kDoubles);
      auto total3 = hn::LoadU(d, gradient + c + 3 * kDoubles);
      for (std::int64_t n = 0; n < window.samples; ++n) {
        const double* row = rows + n * channels_ + c;
        total0 = hn::Add(total0, hn::LoadU(d, row));
        total1 = hn::Add(total1, hn::LoadU(d, row + kDoubles));
        total2 = hn::Add(total2, hn::LoadU(d, row + 2 * kDoubles));
        total3 = hn::Add(total3, hn::LoadU(d, row + 3 * kDoubles));
      }
      hn::StoreU(total0, d, gradient + c);
      hn::StoreU(total1, d, gradient + c + kDoubles);
      hn::StoreU(total2, d, gradient + c + 2 * kDoubles);
      hn::StoreU(total3, d, gradient + c + 3 * kDoubles);
    }
    for (; c < end; ++c) {
      for (std::int64_t n = 0; n < window.samples; ++n) {
        gradient[c] += rows[n * channels_ + c];
      }
    }
  }

  const BackwardProblem& problem_;
  const BackwardOperands& operands_;
  const BackwardPlan& plan_;
  std::int64_t channels_;
  const BackwardPlan::Scratch& scratch_;
};

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_PARAMETER_GRADIENTS_INL_H_
