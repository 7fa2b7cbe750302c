#ifndef GROUPNORM_KERNELS_FORWARD_PLAN_H_
#define GROUPNORM_KERNELS_FORWARD_PLAN_H_

#include <cstdint>
#include <vector>

#include "kernels/blocks.h"
#include "kernels/group_norm.h"
#include "kernels/moments.h"
#include "kernels/partition.h"

namespace groupnorm {

/// How one (sample, group) is normalised.
struct Normalizer {
  Statistics statistics;
  bool in_single = false;  ///< In float32 arithmetic.
};

/// What a phase of Forward does. Most tensors take one phase, kWholePanels, so
/// that panels are normalised while they are in cache; few and large ones take
/// the others.
enum class ForwardStage {
  kWholePanels,
  kBlockMoments,  ///< Of every block of a panel.
  kNormalizers,   ///< Of every group, from the moments of its blocks.
  kOutput,        ///< Of every block of a panel.
};

/// The phases, tasks and scratch memory of a Forward that has elements.
class ForwardPlan {
 public:
  explicit ForwardPlan(const ForwardProblem& problem);

  const Blocks& blocks() const { return blocks_; }
  std::int64_t num_stages() const {
    return static_cast<std::int64_t>(stages_.size());
  }
  ForwardStage stage(std::int64_t phase) const {
    return stages_[static_cast<std::size_t>(phase)];
  }

  /// The tasks of a phase: runs of the panels of all samples, of all their
  /// blocks, or of all groups.
  const Runs& runs(std::int64_t phase) const;

  /// Blocks of all panels of all samples.
  std::int64_t num_blocks() const { return block_runs_.count(); }

  /// Whether the tensors exceed the caches.
  bool exceeds_caches() const { return exceeds_caches_; }

  /// Arrays in scratch memory; null where the phases need none.
  struct Scratch {
    Normalizer* normalizers;  ///< [batch, num_groups]
    Moments* moments;         ///< [batch, blocks per panel, num_groups]
  };
  Scratch TakeScratch(ScratchLayout& layout) const;

 private:
  bool Has(ForwardStage stage) const;

  Blocks blocks_;
  std::int64_t num_groups_;  // Of all samples.
  bool exceeds_caches_;
  std::vector<ForwardStage> stages_;
  Runs panel_runs_;
  Runs block_runs_;
  Runs group_runs_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_FORWARD_PLAN_H_
