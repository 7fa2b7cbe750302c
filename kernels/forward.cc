#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/block_moments.h"
#include "kernels/blocks.h"
#include "kernels/fill.h"
#include "kernels/forward_plan.h"
#include "kernels/group_norm.h"
#include "kernels/moments.h"
#include "kernels/multiply_add.h"
#include "kernels/partition.h"
#include "kernels/single.h"
#include "tensor/element.h"

namespace groupnorm {

namespace {

template <typename T>
class ForwardComputation final : public Computation {
 public:
  ForwardComputation(const ForwardProblem& problem,
                     const ForwardOperands& operands)
      : problem_(problem),
        operands_(operands),
        input_(reinterpret_cast<const T*>(operands.input)),
        output_(reinterpret_cast<T*>(operands.output)),
        plan_(problem) {
    ScratchLayout layout(operands.scratch);
    scratch_ = plan_.TakeScratch(layout);
  }

  std::int64_t num_phases() const override { return plan_.num_stages(); }

  std::int64_t num_tasks(std::int64_t phase) const override {
    return plan_.runs(phase).num_tasks();
  }

  void RunTask(std::int64_t phase, std::int64_t task) override {
    const Runs& runs = plan_.runs(phase);
    for (std::int64_t i = runs.begin(task); i < runs.end(task); ++i) {
      RunStage(plan_.stage(phase), i);
    }
  }

 private:
  // `i` counts the groups of all samples, or their blocks.
  void RunStage(ForwardStage stage, std::int64_t i) {
    const std::int64_t per_group = plan_.blocks().per_group();
    switch (stage) {
      case ForwardStage::kWholeGroups:
        WholeGroup(i);
        break;
      case ForwardStage::kBlockMoments:
        scratch_.moments[i] =
            BlockMoments(input_, BlockOf(i / per_group, i % per_group));
        break;
      case ForwardStage::kNormalizers:
        scratch_.normalizers[i] = NormalizerOf(i, [&](std::int64_t index) {
          return scratch_.moments[i * per_group + index];
        });
        break;
      case ForwardStage::kOutput:
        NormalizeBlock(scratch_.normalizers[i / per_group],
                       BlockOf(i / per_group, i % per_group));
        break;
    }
  }

  Block BlockOf(std::int64_t i, std::int64_t index) const {
    const std::int64_t num_groups = problem_.geometry.num_groups;
    return plan_.blocks().OfGroup(i / num_groups, i % num_groups, index);
  }

  void WholeGroup(std::int64_t i) {
    const Normalizer normalizer = NormalizerOf(i, [&](std::int64_t index) {
      return BlockMoments(input_, BlockOf(i, index));
    });
    for (std::int64_t index = 0; index < plan_.blocks().per_group(); ++index) {
      NormalizeBlock(normalizer, BlockOf(i, index));
    }
  }

  // Takes the given statistics, or computes and returns them to the caller.
  template <typename MomentsOf>
  Normalizer NormalizerOf(std::int64_t i, MomentsOf moments_of) const {
    const std::int64_t num_groups = problem_.geometry.num_groups;
    Statistics statistics;
    if (problem_.statistics_given) {
      statistics = {operands_.mean[i], 0, operands_.rstd[i]};
    } else {
      statistics = MergeBlocks(plan_.blocks(), i / num_groups, i % num_groups,
                               problem_.epsilon, moments_of);
      operands_.mean[i] = statistics.mean;
      operands_.rstd[i] = statistics.rstd;
    }
    return {statistics, IsInSingle(statistics, i % num_groups)};
  }

  bool IsInSingle(const Statistics& statistics, std::int64_t group) const {
    if (std::is_same_v<T, double>) return false;
    if (!IsSingleMean(statistics.mean) || !IsSingleFactor(statistics.rstd)) {
      return false;
    }
    const std::int64_t group_size = problem_.geometry.group_size();
    const double* weight = operands_.weight + group * group_size;
    return std::all_of(weight, weight + group_size, [&](double w) {
      return IsSingleFactorOrZero(statistics.rstd * w);
    });
  }

  void NormalizeBlock(const Normalizer& normalizer, const Block& block) {
    if constexpr (!std::is_same_v<T, double>) {
      if (normalizer.in_single) {
        NormalizeInSingle(normalizer.statistics, block);
        return;
      }
    }
    NormalizeInDouble(normalizer.statistics, block);
  }

  // The low parts keep the error within its bound where the bias takes away
  // most of a large product.
  void NormalizeInSingle(const Statistics& statistics, const Block& block) {
    struct Affine {
      std::int64_t channel;
      SplitSingle scale;
      SplitSingle shift;
    };
    const auto mean_hi = static_cast<float>(statistics.mean);
    const double mean_lo = (statistics.mean - mean_hi) + statistics.mean_lo;
    ForEachElement(
        problem_.geometry, block,
        [&](std::int64_t c) -> Affine {
          const double scale = statistics.rstd * operands_.weight[c];
          return {c, Split(scale),
                  Split(MulAdd(-mean_lo, scale, operands_.bias[c]))};
        },
        [&](const Affine& affine, std::int64_t i) {
          const SplitSingle d = Subtract(ToSingle(input_[i]), mean_hi);
          const float y =
              MulAdd(d.hi, affine.scale.hi, affine.shift.hi) +
              MulAdd(d.hi, affine.scale.lo,
                     MulAdd(d.lo, affine.scale.hi, affine.shift.lo));
          // What overflows on the way may be finite in the end, and the low
          // parts make a NaN of an infinite input.
          output_[i] = std::isfinite(y)
                           ? FromSingle<T>(y)
                           : NormalizedInDouble(statistics, affine.channel, i);
        });
  }

  void NormalizeInDouble(const Statistics& statistics, const Block& block) {
    ForEachElement(
        problem_.geometry, block, [](std::int64_t c) { return c; },
        [&](std::int64_t c, std::int64_t i) {
          output_[i] = NormalizedInDouble(statistics, c, i);
        });
  }

  T NormalizedInDouble(const Statistics& statistics, std::int64_t channel,
                       std::int64_t i) const {
    const double d =
        (ToDouble(input_[i]) - statistics.mean) - statistics.mean_lo;
    return FromDouble<T>(MulAdd(d * statistics.rstd, operands_.weight[channel],
                                operands_.bias[channel]));
  }

  ForwardProblem problem_;
  ForwardOperands operands_;
  const T* input_;
  T* output_;
  ForwardPlan plan_;
  ForwardPlan::Scratch scratch_;
};

}  // namespace

std::size_t ForwardScratchBytes(const ForwardProblem& problem) {
  if (problem.geometry.num_elements() == 0) return 0;
  ScratchLayout layout(nullptr);
  ForwardPlan(problem).TakeScratch(layout);
  return layout.size_bytes();
}

std::unique_ptr<Computation> MakeForward(const ForwardProblem& problem,
                                         const ForwardOperands& operands) {
  if (problem.geometry.num_elements() == 0) {
    std::vector<Fill> fills;
    if (!problem.statistics_given) {
      const std::int64_t count =
          problem.geometry.batch * problem.geometry.num_groups;
      fills = {
          {operands.mean, count, 0.0},
          {operands.rstd, count, std::numeric_limits<double>::quiet_NaN()}};
    }
    return std::make_unique<FillComputation>(std::move(fills));
  }
  return VisitElementType(
      problem.dtype, [&]<typename T>() -> std::unique_ptr<Computation> {
        return std::make_unique<ForwardComputation<T>>(problem, operands);
      });
}

}  // namespace groupnorm
