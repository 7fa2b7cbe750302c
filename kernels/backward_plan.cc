#include "kernels/backward_plan.h"

#include <algorithm>
#include <cstddef>

namespace groupnorm {

BackwardPlan::BackwardPlan(const BackwardProblem& problem)
    : blocks_(problem.geometry),
      statistics_given_(problem.statistics_given),
      folds_((problem.want_grad_weight || problem.want_grad_bias) &&
             !problem.per_sample_gradients),
      sums_(problem.want_grad_weight || problem.want_grad_bias ||
            (problem.want_grad_input && !problem.frozen_statistics)),
      exceeds_caches_(TensorBytes(problem.geometry, problem.dtype) >
                      kCacheBytes / 3),
      cut_(!TakesWholePanels(blocks_) && HasSmallScratch(problem.dtype)) {
  if (!sums_ && !problem.want_grad_input) {
    // Nothing is wanted.
  } else if (!cut_) {
    stages_.push_back(BackwardStage::kWholePanels);
  } else {
    if (!statistics_given_) {
      stages_.push_back(BackwardStage::kBlockMoments);
    }
    stages_.push_back(BackwardStage::kStatistics);
    if (sums_) stages_.push_back(BackwardStage::kBlockSums);
    stages_.push_back(BackwardStage::kGroupGradients);
    if (problem.want_grad_input) {
      stages_.push_back(BackwardStage::kGradInput);
    }
  }
  if (folds_) stages_.push_back(BackwardStage::kFold);
  const GroupGeometry& geometry = blocks_.geometry();
  window_samples_ = geometry.batch;
  if (cut_ || folds_) {
    window_samples_ = std::min(window_samples_, kFoldSamples);
  }
  // A window of small samples should still occupy several workers.
  constexpr std::int64_t kTasks = 8;
  constexpr std::int64_t kFewest = 8192;
  const std::int64_t window_elements =
      window_samples_ * geometry.channels * geometry.spatial;
  task_elements_ = std::min(TaskElements(geometry),
                            std::max(kFewest, window_elements / kTasks));
}

std::int64_t BackwardPlan::num_phases() const {
  return CeilDivide(blocks_.geometry().batch, window_samples_) *
         static_cast<std::int64_t>(stages_.size());
}

BackwardStage BackwardPlan::stage(std::int64_t phase) const {
  return stages_[static_cast<std::size_t>(phase) % stages_.size()];
}

BackwardPlan::Window BackwardPlan::window(std::int64_t phase) const {
  const std::int64_t first =
      phase / static_cast<std::int64_t>(stages_.size()) * window_samples_;
  return {first, std::min(window_samples_, blocks_.geometry().batch - first)};
}

Runs BackwardPlan::runs(std::int64_t phase) const {
  const std::int64_t samples = window(phase).samples;
  const std::int64_t channels = blocks_.geometry().channels;
  const std::int64_t panels = samples * blocks_.panels();
  const Panel panel = blocks_.PanelOf(0, 0);
  // Blocks of panels.
  const Runs block_runs = {
      panels * blocks_.per_panel(),
      task_elements_ * blocks_.per_panel() / PanelElements(blocks_)};
  switch (stage(phase)) {
    case BackwardStage::kBlockMoments:
    case BackwardStage::kGradInput:
      return block_runs;
    case BackwardStage::kBlockSums:
      if (blocks_.channels_last()) return block_runs;
      return {
          samples * blocks_.per_channel() * channels,
          task_elements_ * blocks_.per_channel() / blocks_.geometry().spatial};
    case BackwardStage::kStatistics:
      return {samples * blocks_.geometry().num_groups,
              task_elements_ / (kMergeElements * blocks_.per_panel())};
    case BackwardStage::kGroupGradients:
      return {panels,
              task_elements_ / (kGroupElements * panel.num_groups +
                                panel.num_channels * blocks_.per_channel())};
    case BackwardStage::kFold:
      return {channels, task_elements_ / samples};
    case BackwardStage::kWholePanels:
      break;
  }
  return {panels, task_elements_ / (PanelElements(blocks_) +
                                    kGroupElements * panel.num_groups)};
}

BackwardPlan::Scratch BackwardPlan::TakeScratch(ScratchLayout& layout) const {
  const std::int64_t channels = window_samples_ * blocks_.geometry().channels;
  Scratch scratch = {};
  if (cut_) {
    scratch.groups = layout.Take<GroupGradient>(window_samples_ *
                                                blocks_.geometry().num_groups);
    auto* block_data = layout.Take<std::byte>(window_samples_ * BlockBytes());
    scratch.moments = reinterpret_cast<Moments*>(block_data);
    auto* sums = reinterpret_cast<double*>(block_data);
    scratch.block_sums = {sums, sums + channels * blocks_.per_channel()};
  }
  if (folds_ || (cut_ && sums_ && !merges_sums())) {
    scratch.sums.ds = layout.Take<double>(channels);
    scratch.sums.db = layout.Take<double>(channels);
  }
  return scratch;
}

std::int64_t BackwardPlan::BlockBytes() const {
  const GroupGeometry& geometry = blocks_.geometry();
  std::int64_t bytes = 0;
  if (!statistics_given_) {
    bytes = static_cast<std::int64_t>(sizeof(Moments)) * geometry.num_groups *
            blocks_.per_panel();
  }
  if (sums_ && blocks_.per_channel() > 1) {
    bytes = std::max(bytes, static_cast<std::int64_t>(2 * sizeof(double)) *
                                geometry.channels * blocks_.per_channel());
  }
  return bytes;
}

bool BackwardPlan::HasSmallScratch(DataType dtype) const {
  constexpr std::int64_t kMinRatio = 8;
  const GroupGeometry& geometry = blocks_.geometry();
  const std::int64_t bytes =
      BlockBytes() +
      static_cast<std::int64_t>(sizeof(GroupGradient)) * geometry.num_groups;
  return bytes <= geometry.channels * geometry.spatial *
                      static_cast<std::int64_t>(ElementSize(dtype)) / kMinRatio;
}

}  // namespace groupnorm
