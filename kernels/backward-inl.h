// The algorithm of Backward: docs/math.md, "Backward".

#if defined(GROUPNORM_KERNELS_BACKWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_BACKWARD_INL_H_
#undef GROUPNORM_KERNELS_BACKWARD_INL_H_
#else
#define GROUPNORM_KERNELS_BACKWARD_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "hwy/cache_control.h"
#include "kernels/backward_plan.h"
#include "kernels/backward_sums-inl.h"
#include "kernels/block_moments-inl.h"
#include "kernels/blocks.h"
#include "kernels/channel_sums-inl.h"
#include "kernels/grad_input-inl.h"
#include "kernels/group_array.h"
#include "kernels/group_norm.h"
#include "kernels/moments.h"
#include "kernels/parameter_gradients-inl.h"
#include "kernels/partition.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

template <typename T>
class BackwardComputation final : public Computation {
 public:
  BackwardComputation(const BackwardProblem& problem,
                      const BackwardOperands& operands)
      : problem_(problem),
        operands_(operands),
        plan_(problem),
        blocks_(plan_.blocks()),
        geometry_(blocks_.geometry()),
        tensors_{.x = reinterpret_cast<const T*>(operands.input),
                 .dy = reinterpret_cast<const T*>(operands.grad_output),
                 .dx = reinterpret_cast<T*>(operands.grad_input),
                 .weight = operands.weight,
                 .frozen = problem.frozen_statistics,
                 .stream = plan_.exceeds_caches()},
        sums_(plan_, scratch_, tensors_.x, tensors_.dy),
        parameters_(problem_, operands_, plan_, scratch_) {
    ScratchLayout layout(operands.scratch);
    scratch_ = plan_.TakeScratch(layout);
  }

  // Members refer to each other.
  BackwardComputation(const BackwardComputation&) = delete;
  BackwardComputation& operator=(const BackwardComputation&) = delete;

  std::int64_t num_phases() const override { return plan_.num_phases(); }

  std::int64_t num_tasks(std::int64_t phase) const override {
    return plan_.runs(phase).num_tasks();
  }

  void RunTask(std::int64_t phase, std::int64_t task) override {
    const Runs runs = plan_.runs(phase);
    const BackwardPlan::Window window = plan_.window(phase);
    const std::int64_t begin = runs.begin(task);
    const std::int64_t end = runs.end(task);
    switch (plan_.stage(phase)) {
      case BackwardStage::kWholePanels:
        if (blocks_.channels_last()) {
          for (std::int64_t i = begin; i < end; ++i) {
            WholePanel(window, PanelOf(window, i));
          }
        } else if (geometry_.spatial == 1 && problem_.want_grad_input &&
                   plan_.sums() && geometry_.group_size() <= kMaxChannels) {
          SingleValueGroups(window, begin, end);
        } else {
          WholeGroups(window, begin, end);
        }
        break;
      case BackwardStage::kBlockMoments:
        for (std::int64_t i = begin; i < end; ++i) StoreMoments(window, i);
        break;
      case BackwardStage::kStatistics:
        StoreStatistics(window, begin, end);
        break;
      case BackwardStage::kBlockSums:
        if (blocks_.channels_last()) {
          for (std::int64_t i = begin; i < end; ++i) StoreTileSums(window, i);
        } else {
          sums_.StoreOfChannels(window.first, begin, end);
        }
        break;
      case BackwardStage::kGroupGradients:
        for (std::int64_t i = begin; i < end; ++i) {
          const Panel panel = PanelOf(window, i);
          Gradients(panel, window.first, GroupsOf(panel, window));
        }
        break;
      case BackwardStage::kGradInput:
        // From the last block back: it was read last, and is still in cache.
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int64_t block = runs.count() - 1 - i;
          const Panel panel = PanelOf(window, block / blocks_.per_panel());
          GradInputOfBlock(blocks_, tensors_,
                           blocks_.OfPanel(panel, block % blocks_.per_panel()),
                           GroupsOf(panel, window), 0);
        }
        break;
      case BackwardStage::kFold:
        parameters_.Fold(window, begin, end);
        break;
    }
    if (tensors_.stream) hwy::FlushStream();
  }

 private:
  using Window = BackwardPlan::Window;

  // `i` counts the panels of the window's samples.
  Panel PanelOf(const Window& window, std::int64_t i) const {
    return blocks_.PanelOf(window.first + i / blocks_.panels(),
                           i % blocks_.panels());
  }

  GroupGradient* GroupsOf(const Panel& panel, const Window& window) const {
    return scratch_.groups +
           (panel.sample - window.first) * geometry_.num_groups + panel.group;
  }

  // Those of consecutive groups, from their moments or as they are given; the
  // mean rounded to one double, as Forward returns it.
  HWY_NOINLINE void SetStatistics(std::int64_t sample, std::int64_t group,
                                  std::int64_t num_groups,
                                  const Moments* moments,
                                  GroupGradient* groups) const {
    if (problem_.statistics_given) {
      const std::int64_t i = sample * geometry_.num_groups + group;
      for (std::int64_t g = 0; g < num_groups; ++g) {
        groups[g].statistics.mean = operands_.mean[i + g];
        groups[g].statistics.rstd = operands_.rstd[i + g];
      }
      return;
    }
    for (std::int64_t begin = 0; begin < num_groups; begin += kMaxRuns) {
      const std::int64_t count = std::min(kMaxRuns, num_groups - begin);
      Statistics statistics[kMaxRuns];
      StatisticsFromMoments(geometry_.values_per_group(), moments + begin,
                            problem_.epsilon, count, statistics);
      for (std::int64_t g = 0; g < count; ++g) {
        groups[begin + g].statistics = statistics[g];
        groups[begin + g].statistics.mean_lo = 0;
      }
    }
  }

  // Channels first. Several small groups of a sample are worked on together.
  void WholeGroups(const Window& window, std::int64_t begin, std::int64_t end) {
    constexpr std::int64_t kCachedElements = 4096;
    const std::int64_t values = geometry_.values_per_group();
    const std::int64_t group_size = geometry_.group_size();
    const std::int64_t batch = std::clamp<std::int64_t>(
        std::min(kCachedElements / values, kMaxChannels / group_size), 1,
        kMaxRuns);
    for (std::int64_t i = begin; i < end;) {
      Panel panel = PanelOf(window, i);
      panel.num_groups =
          std::min({batch, end - i, geometry_.num_groups - panel.group});
      panel.num_channels = panel.num_groups * group_size;
      i += panel.num_groups;
      GroupGradient groups[kMaxRuns];
      SetStatistics(panel, groups);
      Gradients(panel, window.first, groups);
      if (!problem_.want_grad_input) continue;
      const std::int64_t ahead =
          i < end && tensors_.stream ? panel.num_groups * values : 0;
      for (std::int64_t g = 0; g < panel.num_groups; ++g) {
        for (std::int64_t b = 0; b < blocks_.per_panel(); ++b) {
          GradInputOfBlock(blocks_, tensors_, blocks_.OfPanel(panel, b),
                           groups + g, ahead);
        }
        panel.channel += group_size;
      }
    }
  }

  // The same where channels have one value each. Groups are worked on together,
  // also those of different samples.
  HWY_NOINLINE void SingleValueGroups(const Window& window, std::int64_t begin,
                                      std::int64_t end) {
    const std::int64_t size = geometry_.group_size();
    const std::int64_t first_group = window.first * geometry_.num_groups;
    for (std::int64_t i = begin; i < end; i += kMaxRuns) {
      const std::int64_t count = std::min(kMaxRuns, end - i);
      const std::int64_t first = first_group + i;
      GroupGradient groups[kMaxRuns];
      if (problem_.statistics_given) {
        SetStatistics(0, first, count, nullptr, groups);
      } else {
        Moments moments[kMaxRuns];
        RunMoments(tensors_.x + first * size, size, size, count, moments);
        SetStatistics(0, first, count, moments, groups);
      }
      WeightedSums<T> weighted;
      for (std::int64_t g = 0; g < count; ++g) {
        SumSingleValues(first + g, i + g, groups[g].statistics, g, weighted);
      }
      CompensatedPair totals[kMaxRuns];
      weighted.Reduce(count, totals);
      for (std::int64_t g = 0; g < count; ++g) {
        CompensatedPair total;
        total.Add(totals[g]);
        SetMeans(total, groups[g]);
        Block block;
        block.offset = (first + g) * size;
        block.rows = 1;
        block.width = size;
        block.channel = (first + g) % geometry_.num_groups * size;
        SetInSingle(block.channel, groups[g]);
        GradInputOfRun<T>(tensors_, blocks_, groups[g]).Compute(block, 0);
      }
    }
  }

  // Sums a group whose channels have one value each, the `group`-th of all and
  // the `index`-th of the window, and stores its gradients of weight and bias.
  HWY_INLINE void SumSingleValues(std::int64_t group, std::int64_t index,
                                  const Statistics& statistics,
                                  std::int64_t slot,
                                  WeightedSums<T>& weighted) const {
    const Doubles d;
    const std::int64_t size = geometry_.group_size();
    const std::int64_t groups = geometry_.num_groups;
    const std::int64_t channel = group % groups * size;
    const ChannelSums row = parameters_.RowOf(group / groups, index / groups);
    const auto rstd = hn::Set(d, statistics.rstd);
    weighted.SetSingleValues(
        slot, operands_.weight + channel, tensors_.x + group * size,
        tensors_.dy + group * size, statistics.mean, size,
        [&](std::int64_t c, std::int64_t count, DoubleVector ds,
            DoubleVector db) HWY_ATTR {
          if (row.ds != nullptr) {
            StoreUpTo(d, hn::Mul(ds, rstd), row.ds + channel + c, count);
          }
          if (row.db != nullptr) {
            StoreUpTo(d, db, row.db + channel + c, count);
          }
        });
  }

  // Those of at most kMaxRuns groups, channels first.
  void SetStatistics(const Panel& panel, GroupGradient* groups) const {
    if (problem_.statistics_given) {
      SetStatistics(panel.sample, panel.group, panel.num_groups, nullptr,
                    groups);
      return;
    }
    Moments moments[kMaxRuns];
    if (blocks_.per_panel() == 1) {
      const std::int64_t values = geometry_.values_per_group();
      RunMoments(tensors_.x + blocks_.OfPanel(panel, 0).offset, values, values,
                 panel.num_groups, moments);
    } else {
      PanelMoments(blocks_, tensors_.x, panel, moments);
    }
    SetStatistics(panel.sample, panel.group, panel.num_groups, moments, groups);
  }

  // Channels last.
  void WholePanel(const Window& window, const Panel& panel) {
    GroupArray<Moments> moments(panel.num_groups);
    GroupArray<GroupGradient> groups(panel.num_groups);
    if (!problem_.statistics_given) {
      PanelMoments(blocks_, tensors_.x, panel, moments.data());
    }
    SetStatistics(panel.sample, panel.group, panel.num_groups, moments.data(),
                  groups.data());
    Gradients(panel, window.first, groups.data());
    if (!problem_.want_grad_input) return;
    for (std::int64_t b = 0; b < blocks_.per_panel(); ++b) {
      GradInputOfBlock(blocks_, tensors_, blocks_.OfPanel(panel, b),
                       groups.data(), 0);
    }
  }

  // `i` counts the blocks of the window's panels.
  void StoreMoments(const Window& window, std::int64_t i) {
    const std::int64_t per_panel = blocks_.per_panel();
    const Panel panel = PanelOf(window, i / per_panel);
    BlockMoments(blocks_, tensors_.x, panel, i % per_panel,
                 BlockMomentsOf(panel.sample - window.first, i % per_panel) +
                     panel.group);
  }

  // Those of all groups of the index-th blocks of a sample of the window.
  Moments* BlockMomentsOf(std::int64_t sample, std::int64_t index) const {
    return scratch_.moments +
           (sample * blocks_.per_panel() + index) * geometry_.num_groups;
  }

  // Of groups `begin` to `end` of the window's samples.
  void StoreStatistics(const Window& window, std::int64_t begin,
                       std::int64_t end) {
    for (std::int64_t i = begin; i < end;) {
      const std::int64_t sample = i / geometry_.num_groups;
      const std::int64_t group = i % geometry_.num_groups;
      const std::int64_t count =
          std::min({kMaxRuns, end - i, geometry_.num_groups - group});
      Moments moments[kMaxRuns];
      std::fill_n(scratch_.groups + i, count, GroupGradient());
      if (!problem_.statistics_given) {
        MergeBlocks(blocks_, BlockMomentsOf(sample, 0) + group,
                    geometry_.num_groups, count, moments);
      }
      SetStatistics(window.first + sample, group, count, moments,
                    scratch_.groups + i);
      i += count;
    }
  }

  // `i` counts the blocks of the window's panels, channels last.
  void StoreTileSums(const Window& window, std::int64_t i) const {
    const Panel panel = PanelOf(window, i / blocks_.per_panel());
    sums_.StoreOfTile(panel, window.first, i % blocks_.per_panel(),
                      GroupsOf(panel, window));
  }

  // Completes the gradients of a panel's groups, whose statistics are known.
  void Gradients(const Panel& panel, std::int64_t first_sample,
                 GroupGradient* groups) {
    if (plan_.sums()) {
      CompensatedPair total;
      for (std::int64_t c = 0; c < panel.num_channels; c += kMaxChannels) {
        double ds[kMaxChannels];
        double db[kMaxChannels];
        ChannelSums sums = {ds, db};
        if (scratch_.sums.ds != nullptr) {
          sums = scratch_.sums.From((panel.sample - first_sample) *
                                        geometry_.channels +
                                    panel.channel + c);
        }
        const std::int64_t num_channels =
            std::min(kMaxChannels, panel.num_channels - c);
        if (!plan_.stores_sums()) {
          sums_.OfPanel(panel, first_sample, c, num_channels, groups, sums);
        }
        AddToGroups(panel, c, num_channels, sums, groups, total);
      }
    }
    if (!problem_.want_grad_input) return;
    for (std::int64_t g = 0; g < panel.num_groups; ++g) {
      SetInSingle(panel.channel + g * geometry_.group_size(), groups[g]);
    }
  }

  // `channel` is the group's first.
  HWY_NOINLINE void SetInSingle(std::int64_t channel,
                                GroupGradient& group) const {
    group.in_single =
        !std::is_same_v<T, double> &&
        GradInputIsInSingle(group, problem_.frozen_statistics,
                            operands_.weight + channel, geometry_.group_size());
  }

  // From the sums over all of the group's values.
  HWY_INLINE void SetMeans(const CompensatedPair& total,
                           GroupGradient& group) const {
    const auto m = static_cast<double>(geometry_.values_per_group());
    group.mean_wdy_d = total.first.value() / m;
    group.mean_wdy = total.second.value() / m;
  }

  // Adds up the sums of a panel's channels from `column` on, group by group,
  // and stores the gradients of weight and bias. `total` is that of a group
  // which began before, or will go on.
  void AddToGroups(const Panel& panel, std::int64_t column,
                   std::int64_t num_channels, const ChannelSums& sums,
                   GroupGradient* groups, CompensatedPair& total) {
    const std::int64_t group_size = geometry_.group_size();
    const double* weight = operands_.weight + panel.channel + column;
    WeightedSums<T> weighted;
    std::int64_t first = column / group_size;
    for (std::int64_t c = 0; c < num_channels;) {
      std::int64_t count = 0;
      for (; count < WeightedSums<T>::kGroups && c < num_channels; ++count) {
        const std::int64_t end =
            std::min(num_channels, (first + count + 1) * group_size - column);
        weighted.Set(count, weight + c, sums.From(c), end - c);
        parameters_.Store(panel.sample, panel.channel + column + c, end - c,
                          groups[first + count].statistics.rstd, sums.From(c));
        c = end;
      }
      CompensatedPair totals[WeightedSums<T>::kGroups];
      weighted.Reduce(count, totals);
      for (std::int64_t g = 0; g < count; ++g) {
        // Only the first may have begun before.
        if ((first + g) * group_size >= column) total = CompensatedPair();
        total.Add(totals[g]);
        SetMeans(total, groups[first + g]);
      }
      first += count;
    }
  }

  BackwardProblem problem_;
  BackwardOperands operands_;
  BackwardPlan plan_;
  const Blocks& blocks_;
  const GroupGeometry& geometry_;
  GradInputTensors<T> tensors_;
  BackwardPlan::Scratch scratch_;
  BackwardSums<T> sums_;
  ParameterGradients parameters_;
};

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_BACKWARD_INL_H_
