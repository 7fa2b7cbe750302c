#ifndef GROUPNORM_KERNELS_BACKWARD_PLAN_H_
#define GROUPNORM_KERNELS_BACKWARD_PLAN_H_

#include <cstdint>
#include <vector>

#include "kernels/blocks.h"
#include "kernels/group_norm.h"
#include "kernels/moments.h"
#include "kernels/partition.h"

namespace groupnorm {

/// Samples whose gradients of weight and bias are held in scratch memory until
/// they are folded.
inline constexpr std::int64_t kFoldSamples = 64;

/// How the gradient of the input of one (sample, group) is computed.
struct GroupGradient {
  Statistics statistics;
  double mean_wdy = 0;     ///< Of weight dy.
  double mean_wdy_d = 0;   ///< Of weight dy (x - mean).
  bool in_single = false;  ///< In float32 arithmetic.
};

/// The two sums over each of a run of channels that all gradients are made of.
struct ChannelSums {
  double* ds = nullptr;  ///< Of dy (x - mean).
  double* db = nullptr;  ///< Of dy.

  ChannelSums From(std::int64_t channel) const {
    return {ds + channel, db + channel};
  }
};

/// What a phase of Backward does. Most panels take kWholePanels and kFold, so
/// that they are read again while they are in cache; few panels of many blocks
/// take the others, from kBlockMoments on.
enum class BackwardStage {
  kWholePanels,
  kBlockMoments,    ///< Of every block of a panel.
  kStatistics,      ///< Of every group, from the moments of its blocks.
  kBlockSums,       ///< Of every block of a channel, or of a panel.
  kGroupGradients,  ///< Of every panel, from the sums of its channels.
  kGradInput,       ///< Of every block of a panel.
  kFold,            ///< Of the samples into grad_weight and grad_bias.
};

/// The phases, tasks and scratch memory of a Backward that has elements. The
/// stages are repeated for one window of samples after the other.
class BackwardPlan {
 public:
  explicit BackwardPlan(const BackwardProblem& problem);

  struct Window {
    std::int64_t first;  ///< Sample.
    std::int64_t samples;
  };

  const Blocks& blocks() const { return blocks_; }
  std::int64_t num_phases() const;
  BackwardStage stage(std::int64_t phase) const;
  Window window(std::int64_t phase) const;

  /// The tasks of a phase: runs of what its stage names, over a window's
  /// samples; of channels in kFold. Channels first, kBlockSums counts the
  /// blocks of a channel, then the channels.
  Runs runs(std::int64_t phase) const;

  /// Whether grad_weight and grad_bias are folded over samples.
  bool folds() const { return folds_; }

  /// Whether sums over the channels are needed.
  bool sums() const { return sums_; }

  /// Whether the channels' sums are taken block by block in kBlockSums.
  bool merges_sums() const { return cut_ && blocks_.per_channel() > 1; }

  /// Whether kBlockSums stores them whole, in Scratch::sums.
  bool stores_sums() const { return cut_ && blocks_.per_channel() == 1; }

  bool exceeds_caches() const { return exceeds_caches_; }

  /// Arrays in scratch memory, of the samples of a window; null where the
  /// phases need none.
  struct Scratch {
    GroupGradient* groups;  ///< [samples, num_groups]
    Moments* moments;       ///< [samples, blocks per panel, num_groups]
    /// [samples, blocks per channel, channels]; in the place of the moments,
    /// which are not needed any more.
    ChannelSums block_sums;
    /// [samples, channels]. Once the gradients of a group are known and will be
    /// folded, its channels hold rstd ds in the place of ds.
    ChannelSums sums;
  };
  Scratch TakeScratch(ScratchLayout& layout) const;

 private:
  bool Has(BackwardStage stage) const;

  // Of one sample: what is kept of its blocks.
  std::int64_t BlockBytes() const;

  // Whether the scratch memory of the cut stages is small beside the input.
  bool HasSmallScratch(DataType dtype) const;

  Blocks blocks_;
  bool statistics_given_;
  bool folds_;
  bool sums_;
  bool exceeds_caches_;
  bool cut_;  // Panels into blocks.
  std::vector<BackwardStage> stages_;
  std::int64_t window_samples_;
  std::int64_t task_elements_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_BACKWARD_PLAN_H_
