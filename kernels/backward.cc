#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "kernels/backward_plan.h"
#include "kernels/block_moments.h"
#include "kernels/blocks.h"
#include "kernels/channel_sums.h"
#include "kernels/fill.h"
#include "kernels/group_norm.h"
#include "kernels/lane_sums.h"
#include "kernels/moments.h"
#include "kernels/multiply_add.h"
#include "kernels/partition.h"
#include "kernels/single.h"
#include "tensor/element.h"

namespace groupnorm {

namespace {

// The coefficients of dx = a dy + b (x - mean) + k that a group shares, before
// they are rounded to float32.
struct InputCoefficients {
  explicit InputCoefficients(const GroupGradient& group)
      : mean_hi(static_cast<float>(group.statistics.mean)) {
    const double r = group.statistics.rstd;
    x = -(r * r * r) * group.mean_wdy_d;
    // Of x - mean_hi: what mean_hi leaves of the mean goes into the constant.
    const double mean_lo = group.statistics.mean - mean_hi;
    constant = MulAdd(-x, mean_lo, -r * group.mean_wdy);
  }

  float mean_hi;
  double x;
  double constant;
};

template <typename T>
class BackwardComputation final : public Computation {
 public:
  BackwardComputation(const BackwardProblem& problem,
                      const BackwardOperands& operands)
      : problem_(problem),
        geometry_(problem.geometry),
        operands_(operands),
        x_(reinterpret_cast<const T*>(operands.input)),
        dy_(reinterpret_cast<const T*>(operands.grad_output)),
        dx_(reinterpret_cast<T*>(operands.grad_input)),
        plan_(problem) {
    ScratchLayout layout(operands.scratch);
    scratch_ = plan_.TakeScratch(layout);
  }

  std::int64_t num_phases() const override { return plan_.num_phases(); }

  std::int64_t num_tasks(std::int64_t phase) const override {
    return plan_.runs(phase).num_tasks();
  }

  void RunTask(std::int64_t phase, std::int64_t task) override {
    const Runs runs = plan_.runs(phase);
    const BackwardPlan::Window window = plan_.window(phase);
    if (plan_.stage(phase) == BackwardStage::kFold) {
      Fold(window, runs.begin(task), runs.end(task));
      return;
    }
    for (std::int64_t i = runs.begin(task); i < runs.end(task); ++i) {
      RunStage(plan_.stage(phase), window.first, i);
    }
  }

 private:
  // A (sample, group), or a (sample, channel): `slot` is its place in arrays of
  // the window's samples.
  struct Place {
    std::int64_t sample;
    std::int64_t index;
    std::int64_t slot;
  };

  static Place PlaceOf(std::int64_t first_sample, std::int64_t slot,
                       std::int64_t per_sample) {
    return {first_sample + slot / per_sample, slot % per_sample, slot};
  }

  // `i` counts what the stage works on, over the window's samples.
  void RunStage(BackwardStage stage, std::int64_t first_sample,
                std::int64_t i) {
    const std::int64_t group_blocks = plan_.blocks().per_group();
    const std::int64_t channel_blocks = plan_.blocks().per_channel();
    const auto group = [&](std::int64_t slot) {
      return PlaceOf(first_sample, slot, geometry_.num_groups);
    };
    const auto channels = [&](std::int64_t slot) {
      return PlaceOf(first_sample, slot, plan_.sums_per_sample());
    };
    switch (stage) {
      case BackwardStage::kWholeGroups:
        WholeGroup(group(i));
        break;
      case BackwardStage::kBlockMoments:
        scratch_.moments[i] = BlockMoments(
            x_, BlockOf(group(i / group_blocks), i % group_blocks));
        break;
      case BackwardStage::kStatistics:
        scratch_.statistics[i] =
            ComputeStatistics(group(i), [&](std::int64_t index) {
              return scratch_.moments[i * group_blocks + index];
            });
        break;
      case BackwardStage::kChannelSums:
        StoreChannelSums(channels(i));
        break;
      case BackwardStage::kChannelBlockSums:
        StoreChannelBlockSums(channels(i / channel_blocks), i % channel_blocks);
        break;
      case BackwardStage::kMergedSums:
        scratch_.sums[i] = MergedSums(i);
        break;
      case BackwardStage::kGroupGradients:
        GradientsFromSums(group(i));
        break;
      case BackwardStage::kGradInput:
        GradInputOfBlock(scratch_.groups[i / group_blocks],
                         BlockOf(group(i / group_blocks), i % group_blocks));
        break;
      case BackwardStage::kFold:
        break;
    }
  }

  Block BlockOf(const Place& group, std::int64_t index) const {
    return plan_.blocks().OfGroup(group.sample, group.index, index);
  }

  // The mean is rounded to one double, as Forward returns it.
  template <typename MomentsOf>
  Statistics ComputeStatistics(const Place& group, MomentsOf moments_of) const {
    Statistics statistics =
        MergeBlocks(plan_.blocks(), group.sample, group.index, problem_.epsilon,
                    moments_of);
    statistics.mean_lo = 0;
    return statistics;
  }

  Statistics StatisticsOf(const Place& group) const {
    if (!problem_.statistics_given) return scratch_.statistics[group.slot];
    const std::int64_t i = group.sample * geometry_.num_groups + group.index;
    return {operands_.mean[i], 0, operands_.rstd[i]};
  }

  void WholeGroup(const Place& group) {
    Statistics statistics;
    if (problem_.statistics_given) {
      statistics = StatisticsOf(group);
    } else {
      statistics = ComputeStatistics(group, [&](std::int64_t index) {
        return BlockMoments(x_, BlockOf(group, index));
      });
    }
    const GroupGradient gradient = GradientOf(
        group, statistics,
        [&](std::int64_t channel, int num_channels, ChannelSums* sums) {
          SumChannels(plan_.blocks(), x_, dy_, group.sample, channel,
                      num_channels, statistics.mean, sums);
        });
    if (!problem_.want_grad_input) return;
    for (std::int64_t i = 0; i < plan_.blocks().per_group(); ++i) {
      GradInputOfBlock(gradient, BlockOf(group, i));
    }
  }

  void GradientsFromSums(const Place& group) {
    const std::int64_t first_channel =
        group.slot / geometry_.num_groups * geometry_.channels;
    // Only called where sums are wanted: otherwise scratch holds none.
    scratch_.groups[group.slot] = GradientOf(
        group, StatisticsOf(group),
        [&](std::int64_t channel, int num_channels, ChannelSums* sums) {
          std::copy_n(scratch_.sums + first_channel + channel, num_channels,
                      sums);
        });
  }

  // Adds up the sums of the group's channels, which `sums_of(channel,
  // num_channels, sums)` gives, in their order.
  template <typename SumsOf>
  GroupGradient GradientOf(const Place& group, const Statistics& statistics,
                           SumsOf sums_of) {
    GroupGradient gradient;
    gradient.statistics = statistics;
    if (plan_.sums()) {
      const std::int64_t first = group.index * geometry_.group_size();
      const std::int64_t end = first + geometry_.group_size();
      RunSum group_sum(geometry_.group_size());
      for (std::int64_t c = first; c < end; c += kMaxColumns) {
        const auto num_channels =
            static_cast<int>(std::min<std::int64_t>(kMaxColumns, end - c));
        ChannelSums sums[kMaxColumns];
        sums_of(c, num_channels, sums);
        for (int i = 0; i < num_channels; ++i) {
          const double w = operands_.weight[c + i];
          group_sum.Add(w * sums[i].ds, w * sums[i].db);
          StoreSampleGradients(
              group, c + i,
              {.weight = statistics.rstd * sums[i].ds, .bias = sums[i].db});
        }
      }
      const CompensatedPair total = group_sum.Total();
      const auto m = static_cast<double>(geometry_.values_per_group());
      gradient.mean_wdy_d = total.first.value() / m;
      gradient.mean_wdy = total.second.value() / m;
    }
    gradient.in_single = IsInSingle(gradient, group.index);
    return gradient;
  }

  // One sample's gradients of weight and bias of a channel.
  struct SampleGradients {
    double weight;
    double bias;
  };

  // Keeps them where they are wanted or will be folded, there in the place of
  // the channel's sums.
  void StoreSampleGradients(const Place& group, std::int64_t channel,
                            const SampleGradients& gradients) {
    if (plan_.folds()) {
      const std::int64_t window_sample = group.slot / geometry_.num_groups;
      scratch_.sums[window_sample * geometry_.channels + channel] = {
          .ds = gradients.weight, .db = gradients.bias};
    }
    if (!problem_.per_sample_gradients) return;
    const std::int64_t i = group.sample * geometry_.channels + channel;
    if (problem_.want_grad_weight) operands_.grad_weight[i] = gradients.weight;
    if (problem_.want_grad_bias) operands_.grad_bias[i] = gradients.bias;
  }

  bool IsInSingle(const GroupGradient& gradient, std::int64_t group) const {
    if (std::is_same_v<T, double> || !problem_.want_grad_input) return false;
    const Statistics& statistics = gradient.statistics;
    if (!IsSingleMean(statistics.mean) || !IsSingleFactor(statistics.rstd)) {
      return false;
    }
    if (!problem_.frozen_statistics) {
      const InputCoefficients coefficients(gradient);
      if (!IsSingleFactorOrZero(coefficients.x) ||
          !IsSingleFactorOrZero(coefficients.constant)) {
        return false;
      }
    }
    const std::int64_t group_size = geometry_.group_size();
    const double* weight = operands_.weight + group * group_size;
    return std::all_of(weight, weight + group_size, [&](double w) {
      return IsSingleFactorOrZero(statistics.rstd * w);
    });
  }

  ChannelSums MergedSums(std::int64_t slot) const {
    const std::int64_t blocks = plan_.blocks().per_channel();
    ChannelBlockMerge merge;
    for (std::int64_t i = 0; i < blocks; ++i) {
      merge.Add(scratch_.block_sums[slot * blocks + i]);
    }
    return merge.Total();
  }

  // Calls `sum(channel, num_channels, mean, slot)` for the channels of a run,
  // in parts that lie in one group.
  template <typename Sum>
  void ForEachGroupOfRun(const Place& run, Sum sum) {
    std::int64_t channel = run.index * plan_.channels_per_sum();
    const std::int64_t end =
        std::min(geometry_.channels, channel + plan_.channels_per_sum());
    const std::int64_t window_sample = run.slot / plan_.sums_per_sample();
    while (channel < end) {
      const std::int64_t group = channel / geometry_.group_size();
      const std::int64_t next =
          std::min(end, (group + 1) * geometry_.group_size());
      const Place place = {run.sample, group,
                           window_sample * geometry_.num_groups + group};
      sum(channel, static_cast<int>(next - channel), StatisticsOf(place).mean,
          window_sample * geometry_.channels + channel);
      channel = next;
    }
  }

  void StoreChannelSums(const Place& run) {
    ForEachGroupOfRun(run, [&](std::int64_t channel, int num_channels,
                               double mean, std::int64_t slot) {
      SumChannels(plan_.blocks(), x_, dy_, run.sample, channel, num_channels,
                  mean, scratch_.sums + slot);
    });
  }

  void StoreChannelBlockSums(const Place& run, std::int64_t index) {
    const std::int64_t blocks = plan_.blocks().per_channel();
    ForEachGroupOfRun(run, [&](std::int64_t channel, int num_channels,
                               double mean, std::int64_t slot) {
      ChannelSums sums[kMaxColumns];
      SumChannelBlocks(plan_.blocks(), x_, dy_, run.sample, channel,
                       num_channels, index, mean, sums);
      for (int c = 0; c < num_channels; ++c) {
        scratch_.block_sums[(slot + c) * blocks + index] = sums[c];
      }
    });
  }

  // Adds the window's samples, in their order, to grad_weight and grad_bias of
  // some channels.
  void Fold(const BackwardPlan::Window& window, std::int64_t begin,
            std::int64_t end) {
    const auto start = [&](double* gradient) {
      if (window.first == 0) std::fill(gradient + begin, gradient + end, 0.0);
    };
    if (problem_.want_grad_weight) start(operands_.grad_weight);
    if (problem_.want_grad_bias) start(operands_.grad_bias);
    for (std::int64_t n = 0; n < window.samples; ++n) {
      for (std::int64_t c = begin; c < end; ++c) {
        const ChannelSums& sums = scratch_.sums[n * geometry_.channels + c];
        if (problem_.want_grad_weight) operands_.grad_weight[c] += sums.ds;
        if (problem_.want_grad_bias) operands_.grad_bias[c] += sums.db;
      }
    }
  }

  void GradInputOfBlock(const GroupGradient& gradient, const Block& block) {
    if (problem_.frozen_statistics) {
      FrozenGradInput(gradient, block);
      return;
    }
    if constexpr (!std::is_same_v<T, double>) {
      if (gradient.in_single) {
        GradInputInSingle(gradient, block);
        return;
      }
    }
    GradInputInDouble(gradient, block);
  }

  void GradInputInSingle(const GroupGradient& gradient, const Block& block) {
    struct Channel {
      std::int64_t index;
      float a;
    };
    const InputCoefficients coefficients(gradient);
    const auto b = static_cast<float>(coefficients.x);
    const auto k = static_cast<float>(coefficients.constant);
    const double rstd = gradient.statistics.rstd;
    ForEachElement(
        geometry_, block,
        [&](std::int64_t c) -> Channel {
          return {c, static_cast<float>(rstd * operands_.weight[c])};
        },
        [&](const Channel& channel, std::int64_t i) {
          const float d = ToSingle(x_[i]) - coefficients.mean_hi;
          const float dx = MulAdd(channel.a, ToSingle(dy_[i]), MulAdd(b, d, k));
          // What overflows on the way may be finite in the end.
          dx_[i] = std::isfinite(dx)
                       ? FromSingle<T>(dx)
                       : ElementInDouble(gradient, channel.index, i);
        });
  }

  void GradInputInDouble(const GroupGradient& gradient, const Block& block) {
    ForEachElement(
        geometry_, block, [](std::int64_t c) { return c; },
        [&](std::int64_t c, std::int64_t i) {
          dx_[i] = ElementInDouble(gradient, c, i);
        });
  }

  // Multiplies by rstd last: its cube, and the products of large values, leave
  // the range of float64.
  T ElementInDouble(const GroupGradient& gradient, std::int64_t channel,
                    std::int64_t i) const {
    const Statistics& statistics = gradient.statistics;
    const double mean_wdy_xhat = statistics.rstd * gradient.mean_wdy_d;
    const double xhat = (ToDouble(x_[i]) - statistics.mean) * statistics.rstd;
    const double wdy =
        MulAdd(operands_.weight[channel], ToDouble(dy_[i]), -gradient.mean_wdy);
    return FromDouble<T>(statistics.rstd * MulAdd(-xhat, mean_wdy_xhat, wdy));
  }

  void FrozenGradInput(const GroupGradient& gradient, const Block& block) {
    const double rstd = gradient.statistics.rstd;
    const auto scale = [&](std::int64_t c) {
      return rstd * operands_.weight[c];
    };
    if constexpr (!std::is_same_v<T, double>) {
      if (gradient.in_single) {
        ForEachElement(
            geometry_, block,
            [&](std::int64_t c) { return static_cast<float>(scale(c)); },
            [&](float a, std::int64_t i) {
              dx_[i] = FromSingle<T>(a * ToSingle(dy_[i]));
            });
        return;
      }
    }
    ForEachElement(geometry_, block, scale, [&](double a, std::int64_t i) {
      dx_[i] = FromDouble<T>(a * ToDouble(dy_[i]));
    });
  }

  BackwardProblem problem_;
  GroupGeometry geometry_;
  BackwardOperands operands_;
  const T* x_;
  const T* dy_;
  T* dx_;
  BackwardPlan plan_;
  BackwardPlan::Scratch scratch_;
};

}  // namespace

std::size_t BackwardScratchBytes(const BackwardProblem& problem) {
  if (problem.geometry.num_elements() == 0) return 0;
  ScratchLayout layout(nullptr);
  BackwardPlan(problem).TakeScratch(layout);
  return layout.size_bytes();
}

std::unique_ptr<Computation> MakeBackward(const BackwardProblem& problem,
                                          const BackwardOperands& operands) {
  if (problem.geometry.num_elements() == 0) {
    const std::int64_t rows =
        problem.per_sample_gradients ? problem.geometry.batch : 1;
    const std::int64_t count = rows * problem.geometry.channels;
    std::vector<Fill> fills;
    if (problem.want_grad_weight) {
      fills.push_back({operands.grad_weight, count, 0.0});
    }
    if (problem.want_grad_bias) {
      fills.push_back({operands.grad_bias, count, 0.0});
    }
    return std::make_unique<FillComputation>(std::move(fills));
  }
  return VisitElementType(
      problem.dtype, [&]<typename T>() -> std::unique_ptr<Computation> {
        return std::make_unique<BackwardComputation<T>>(problem, operands);
      });
}

}  // namespace groupnorm
