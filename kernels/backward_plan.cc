#include "kernels/backward_plan.h"

#include <algorithm>
#include <cstddef>

namespace groupnorm {

namespace {

// Elements of a task. Fewer than in Forward: an element costs more, and a
// window of small samples should still occupy several workers.
constexpr std::int64_t kTaskElements = 16384;

}  // namespace

BackwardPlan::BackwardPlan(const BackwardProblem& problem)
    : geometry_(problem.geometry),
      statistics_given_(problem.statistics_given),
      blocks_(problem.geometry),
      folds_((problem.want_grad_weight || problem.want_grad_bias) &&
             !problem.per_sample_gradients),
      sums_(problem.want_grad_weight || problem.want_grad_bias ||
            (problem.want_grad_input && !problem.frozen_statistics)) {
  const auto small = [&](std::size_t bytes, std::int64_t elements) {
    return IsSmallScratch(static_cast<std::int64_t>(bytes), elements,
                          problem.dtype);
  };
  const auto group_blocks = static_cast<std::size_t>(blocks_.per_group());
  const auto channel_blocks = static_cast<std::size_t>(blocks_.per_channel());
  cut_ = blocks_.per_group() > 1 &&
         small(sizeof(GroupGradient) +
                   (statistics_given_
                        ? 0
                        : sizeof(Statistics) + sizeof(Moments) * group_blocks),
               geometry_.values_per_group());
  if (!sums_ && !problem.want_grad_input) {
    // Nothing is wanted.
  } else if (!cut_) {
    stages_.push_back(BackwardStage::kWholeGroups);
  } else {
    if (!statistics_given_) {
      stages_.push_back(BackwardStage::kBlockMoments);
      stages_.push_back(BackwardStage::kStatistics);
    }
    if (sums_ && blocks_.per_channel() > 1 &&
        small(sizeof(ChannelSums) * channel_blocks, geometry_.spatial)) {
      stages_.push_back(BackwardStage::kChannelBlockSums);
      stages_.push_back(BackwardStage::kMergedSums);
    } else if (sums_) {
      stages_.push_back(BackwardStage::kChannelSums);
    }
    stages_.push_back(BackwardStage::kGroupGradients);
    if (problem.want_grad_input) {
      stages_.push_back(BackwardStage::kGradInput);
    }
  }
  if (folds_) stages_.push_back(BackwardStage::kFold);
  window_samples_ = geometry_.batch;
  if (cut_ || folds_) {
    window_samples_ = std::min(window_samples_, kFoldSamples);
  }
}

std::int64_t BackwardPlan::num_phases() const {
  return CeilDivide(geometry_.batch, window_samples_) *
         static_cast<std::int64_t>(stages_.size());
}

BackwardStage BackwardPlan::stage(std::int64_t phase) const {
  return stages_[static_cast<std::size_t>(phase) % stages_.size()];
}

BackwardPlan::Window BackwardPlan::window(std::int64_t phase) const {
  const std::int64_t first =
      phase / static_cast<std::int64_t>(stages_.size()) * window_samples_;
  return {first, std::min(window_samples_, geometry_.batch - first)};
}

Runs BackwardPlan::runs(std::int64_t phase) const {
  const std::int64_t samples = window(phase).samples;
  const std::int64_t groups = samples * geometry_.num_groups;
  // Pieces of equal size that a sample falls into, in runs of a task each.
  const auto pieces = [&](std::int64_t per_sample) -> Runs {
    const std::int64_t elements = geometry_.channels * geometry_.spatial;
    return {samples * per_sample, kTaskElements * per_sample / elements};
  };
  switch (stage(phase)) {
    case BackwardStage::kBlockMoments:
    case BackwardStage::kGradInput:
      return pieces(geometry_.num_groups * blocks_.per_group());
    case BackwardStage::kChannelSums:
      return pieces(sums_per_sample());
    case BackwardStage::kChannelBlockSums:
      return pieces(sums_per_sample() * blocks_.per_channel());
    case BackwardStage::kMergedSums:
      return {samples * geometry_.channels,
              kTaskElements / blocks_.per_channel()};
    case BackwardStage::kFold:
      return {geometry_.channels, kTaskElements / samples};
    case BackwardStage::kWholeGroups:
      break;
    case BackwardStage::kStatistics:
      return {groups, kTaskElements / blocks_.per_group()};
    case BackwardStage::kGroupGradients:
      return {groups, kTaskElements / geometry_.group_size()};
  }
  return {groups, GroupsPerTask(geometry_, kTaskElements,
                                geometry_.values_per_group() +
                                    kSumOverhead * geometry_.group_size())};
}

std::int64_t BackwardPlan::channels_per_sum() const {
  return geometry_.layout == Layout::kChannelsLast ? kMaxColumns : 1;
}

std::int64_t BackwardPlan::sums_per_sample() const {
  return CeilDivide(geometry_.channels, channels_per_sum());
}

BackwardPlan::Scratch BackwardPlan::TakeScratch(ScratchLayout& layout) const {
  const std::int64_t groups = window_samples_ * geometry_.num_groups;
  const std::int64_t channels = window_samples_ * geometry_.channels;
  return {
      .moments = layout.Take<Moments>(
          Has(BackwardStage::kBlockMoments) ? groups * blocks_.per_group() : 0),
      .statistics =
          layout.Take<Statistics>(Has(BackwardStage::kStatistics) ? groups : 0),
      .block_sums =
          layout.Take<ChannelSums>(Has(BackwardStage::kChannelBlockSums)
                                       ? channels * blocks_.per_channel()
                                       : 0),
      .sums =
          layout.Take<ChannelSums>((sums_ && cut_) || folds_ ? channels : 0),
      .groups = layout.Take<GroupGradient>(
          Has(BackwardStage::kGroupGradients) ? groups : 0),
  };
}

bool BackwardPlan::Has(BackwardStage stage) const {
  return std::find(stages_.begin(), stages_.end(), stage) != stages_.end();
}

}  // namespace groupnorm
