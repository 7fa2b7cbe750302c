#include "kernels/forward_plan.h"

#include <algorithm>
#include <cstddef>

namespace groupnorm {

ForwardPlan::ForwardPlan(const ForwardProblem& problem)
    : blocks_(problem.geometry),
      num_groups_(problem.geometry.batch * problem.geometry.num_groups),
      exceeds_caches_(TensorBytes(problem.geometry, problem.dtype) >
                      kCacheBytes / 2),
      panel_runs_(PanelRuns(blocks_, problem.geometry.batch)),
      block_runs_(BlockRuns(blocks_, problem.geometry.batch)),
      group_runs_(num_groups_, TaskElements(problem.geometry) /
                                   (blocks_.per_panel() * kMergeElements)) {
  if (TakesWholePanels(blocks_)) {
    stages_ = {ForwardStage::kWholePanels};
    return;
  }
  if (!problem.statistics_given) stages_ = {ForwardStage::kBlockMoments};
  stages_.push_back(ForwardStage::kNormalizers);
  stages_.push_back(ForwardStage::kOutput);
}

const Runs& ForwardPlan::runs(std::int64_t phase) const {
  switch (stage(phase)) {
    case ForwardStage::kBlockMoments:
    case ForwardStage::kOutput:
      return block_runs_;
    case ForwardStage::kNormalizers:
      return group_runs_;
    case ForwardStage::kWholePanels:
      break;
  }
  return panel_runs_;
}

ForwardPlan::Scratch ForwardPlan::TakeScratch(ScratchLayout& layout) const {
  return {
      .normalizers = layout.Take<Normalizer>(
          Has(ForwardStage::kNormalizers) ? num_groups_ : 0),
      .moments = layout.Take<Moments>(Has(ForwardStage::kBlockMoments)
                                          ? num_groups_ * blocks_.per_panel()
                                          : 0),
  };
}

bool ForwardPlan::Has(ForwardStage stage) const {
  return std::find(stages_.begin(), stages_.end(), stage) != stages_.end();
}

}  // namespace groupnorm
