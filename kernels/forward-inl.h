// The algorithm of Forward: docs/math.md, "Forward".

#if defined(GROUPNORM_KERNELS_FORWARD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_FORWARD_INL_H_
#undef GROUPNORM_KERNELS_FORWARD_INL_H_
#else
#define GROUPNORM_KERNELS_FORWARD_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "hwy/cache_control.h"
#include "kernels/block_moments-inl.h"
#include "kernels/blocks.h"
#include "kernels/forward_plan.h"
#include "kernels/group_array.h"
#include "kernels/group_moments-inl.h"
#include "kernels/group_norm.h"
#include "kernels/moments.h"
#include "kernels/normalize-inl.h"
#include "kernels/normalize_overlapped-inl.h"
#include "kernels/partition.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

template <typename T>
class ForwardComputation final : public Computation {
 public:
  ForwardComputation(const ForwardProblem& problem,
                     const ForwardOperands& operands)
      : problem_(problem),
        operands_(operands),
        input_(reinterpret_cast<const T*>(operands.input)),
        output_(reinterpret_cast<T*>(operands.output)),
        plan_(problem),
        blocks_(plan_.blocks()) {
    ScratchLayout layout(operands.scratch);
    scratch_ = plan_.TakeScratch(layout);
  }

  std::int64_t num_phases() const override { return plan_.num_stages(); }

  std::int64_t num_tasks(std::int64_t phase) const override {
    return plan_.runs(phase).num_tasks();
  }

  void RunTask(std::int64_t phase, std::int64_t task) override {
    const Runs& runs = plan_.runs(phase);
    RunStage(plan_.stage(phase), runs.begin(task), runs.end(task));
    if (plan_.exceeds_caches()) hwy::FlushStream();
  }

 private:
  // `begin` and `end` count the panels of all samples, their blocks, or the
  // groups.
  void RunStage(ForwardStage stage, std::int64_t begin, std::int64_t end) {
    const std::int64_t per_panel = blocks_.per_panel();
    switch (stage) {
      case ForwardStage::kWholePanels:
        if (blocks_.channels_last()) {
          for (std::int64_t i = begin; i < end; ++i) WholePanel(PanelOf(i));
        } else {
          WholeGroups(begin, end);
        }
        break;
      case ForwardStage::kBlockMoments:
        for (std::int64_t i = begin; i < end; ++i) {
          StoreMoments(PanelOf(i / per_panel), i % per_panel);
        }
        break;
      case ForwardStage::kNormalizers:
        for (std::int64_t i = begin; i < end;) {
          const std::int64_t num_groups = problem_.geometry.num_groups;
          const std::int64_t group = i % num_groups;
          const std::int64_t count =
              std::min({kMaxRuns, end - i, num_groups - group});
          Moments moments[kMaxRuns];
          if (!problem_.statistics_given) {
            MergeBlocks(blocks_, BlockMomentsOf(i / num_groups, 0) + group,
                        num_groups, count, moments);
          }
          StoreNormalizers(i, count, moments, scratch_.normalizers + i);
          i += count;
        }
        break;
      case ForwardStage::kOutput:
        // From the last block back: it was read last, and is still in cache.
        for (std::int64_t i = begin; i < end; ++i) {
          const std::int64_t block = plan_.num_blocks() - 1 - i;
          const Panel panel = PanelOf(block / per_panel);
          Output(panel, block % per_panel,
                 scratch_.normalizers + FirstGroup(panel), {});
        }
        break;
    }
  }

  Panel PanelOf(std::int64_t i) const {
    return blocks_.PanelOf(i / blocks_.panels(), i % blocks_.panels());
  }

  // Of the groups of all samples.
  std::int64_t FirstGroup(const Panel& panel) const {
    return panel.sample * problem_.geometry.num_groups + panel.group;
  }

  void WholePanel(const Panel& panel) {
    GroupArray<Moments> moments(panel.num_groups);
    if (!problem_.statistics_given) {
      PanelMoments(blocks_, input_, panel, moments.data());
    }
    GroupArray<Normalizer> normalizers(panel.num_groups);
    StoreNormalizers(FirstGroup(panel), panel.num_groups, moments.data(),
                     normalizers.data());
    for (std::int64_t i = 0; i < blocks_.per_panel(); ++i) {
      Output(panel, i, normalizers.data(), {});
    }
  }

  // Channels first. The statistics of several small groups are computed at
  // once, and where it can be while the output of those before them is.
  void WholeGroups(std::int64_t begin, std::int64_t end) {
    const std::int64_t batch = GroupMoments<T>::GroupsAtOnce(blocks_);
    GroupMoments<T> moments(blocks_, input_);
    for (std::int64_t first = begin; first < end; first += batch) {
      const std::int64_t groups = std::min(batch, end - first);
      Normalizer normalizers[kMaxRuns];
      if (problem_.statistics_given) {
        StoreNormalizers(first, groups, nullptr, normalizers);
      } else {
        StoreNormalizers(first, groups, moments.Of(first, groups), normalizers);
      }
      for (std::int64_t g = first; g < first + groups; ++g) {
        for (std::int64_t b = 0; b < blocks_.per_panel(); ++b) {
          OutputOfGroup(
              g, b, normalizers[g - first],
              !problem_.statistics_given && g + batch < end ? g + batch : -1,
              moments);
        }
      }
    }
  }

  // `next` is a group whose moments will be needed, or -1.
  void OutputOfGroup(std::int64_t group, std::int64_t index,
                     const Normalizer& normalizer, std::int64_t next,
                     GroupMoments<T>& moments) {
    if constexpr (kCanOverlap && !std::is_same_v<T, double>) {
      if (next >= 0 && blocks_.geometry().spatial >= kMinOverlapped) {
        RowwiseSums<T> sums = moments.Rowwise(next, index);
        if (normalizer.in_single) {
          const Block block = blocks_.OfPanel(PanelOf(group), index);
          NormalizeRunAndSum(input_ + block.offset, output_ + block.offset,
                             block.width, blocks_.geometry().spatial,
                             block.position, normalizer.statistics,
                             {operands_.weight + block.channel,
                              operands_.bias + block.channel},
                             {.stream = plan_.exceeds_caches()}, sums);
        } else {
          Output(PanelOf(group), index, &normalizer, {});
        }
        moments.Add(next, index, {}, sums.Finish());
        return;
      }
    }
    Output(PanelOf(group), index, &normalizer, {});
  }

  void StoreMoments(const Panel& panel, std::int64_t index) {
    BlockMoments(blocks_, input_, panel, index,
                 BlockMomentsOf(panel.sample, index) + panel.group);
  }

  // Those of all groups of the index-th blocks of a sample.
  Moments* BlockMomentsOf(std::int64_t sample, std::int64_t index) const {
    return scratch_.moments + (sample * blocks_.per_panel() + index) *
                                  problem_.geometry.num_groups;
  }

  // Takes the given statistics, or returns those of the moments to the caller.
  // `first` counts the groups of all samples.
  void StoreNormalizers(std::int64_t first, std::int64_t num_groups,
                        const Moments* moments, Normalizer* normalizers) const {
    if (problem_.statistics_given) {
      for (std::int64_t g = 0; g < num_groups; ++g) {
        normalizers[g] = Normalizer();  // Scratch memory holds anything.
        normalizers[g].statistics.mean = operands_.mean[first + g];
        normalizers[g].statistics.rstd = operands_.rstd[first + g];
      }
      return;
    }
    const GroupGeometry& geometry = blocks_.geometry();
    HWY_ALIGN Statistics statistics[kMaxRuns];
    for (std::int64_t g = 0; g < num_groups; ++g) {
      if (g % kMaxRuns == 0) {
        StatisticsFromMoments(geometry.values_per_group(), moments + g,
                              problem_.epsilon,
                              std::min(kMaxRuns, num_groups - g), statistics);
      }
      Normalizer& normalizer = normalizers[g];
      normalizer.statistics = statistics[g % kMaxRuns];
      operands_.mean[first + g] = normalizer.statistics.mean;
      operands_.rstd[first + g] = normalizer.statistics.rstd;
      const std::int64_t channel =
          (first + g) % geometry.num_groups * geometry.group_size();
      normalizer.in_single =
          !std::is_same_v<T, double> &&
          IsInSingle(normalizer.statistics,
                     {operands_.weight + channel, operands_.bias + channel},
                     geometry.group_size(), geometry.spatial);
    }
  }

  void Output(const Panel& panel, std::int64_t index,
              const Normalizer* normalizers, Traffic traffic) {
    traffic.stream = plan_.exceeds_caches();
    NormalizeBlock(blocks_, input_, output_, blocks_.OfPanel(panel, index),
                   normalizers, {operands_.weight, operands_.bias}, traffic);
  }

  ForwardProblem problem_;
  ForwardOperands operands_;
  const T* input_;
  T* output_;
  ForwardPlan plan_;
  const Blocks& blocks_;
  ForwardPlan::Scratch scratch_;
};

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_FORWARD_INL_H_
