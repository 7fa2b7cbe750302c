#ifndef GROUPNORM_KERNELS_BACKWARD_PLAN_H_
#define GROUPNORM_KERNELS_BACKWARD_PLAN_H_

#include <cstdint>
#include <vector>

#include "kernels/blocks.h"
#include "kernels/channel_sums.h"
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

/// What a phase of Backward does. Most groups take kWholeGroups and kFold, so
/// that they are read again while they are in cache; groups of many blocks take
/// the others, from kBlockMoments on.
enum class BackwardStage {
  kWholeGroups,
  kBlockMoments,      ///< Of every block of a group.
  kStatistics,        ///< Of every group, from the moments of its blocks.
  kChannelSums,       ///< Of every channel.
  kChannelBlockSums,  ///< Of every block of a channel.
  kMergedSums,        ///< Of every channel, from the sums of its blocks.
  kGroupGradients,    ///< Of every group, from the sums of its channels.
  kGradInput,         ///< Of every block of a group.
  kFold,              ///< Of the samples into grad_weight and grad_bias.
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

  /// The tasks of a phase: runs of the groups, channels or blocks of a window's
  /// samples, of runs of channels (ChannelsPerSum) or their blocks, or, in
  /// kFold, of channels.
  Runs runs(std::int64_t phase) const;

  /// Whether grad_weight and grad_bias are folded over samples.
  bool folds() const { return folds_; }

  /// Whether sums over the channels are needed.
  bool sums() const { return sums_; }

  /// Consecutive channels that are summed at once. Divides into no more than
  /// kMaxColumns; the last run of a sample's channels may be shorter.
  std::int64_t channels_per_sum() const;
  std::int64_t sums_per_sample() const;

  /// Arrays in scratch memory, of the samples of a window; null where the
  /// phases need none.
  struct Scratch {
    Moments* moments;         ///< [samples, num_groups, blocks per group]
    Statistics* statistics;   ///< [samples, num_groups]
    ChannelSums* block_sums;  ///< [samples, channels, blocks per channel]
    /// [samples, channels]. Once the gradients of a group are known and will be
    /// folded, its channels hold rstd ds in the place of ds.
    ChannelSums* sums;
    GroupGradient* groups;  ///< [samples, num_groups]
  };
  Scratch TakeScratch(ScratchLayout& layout) const;

 private:
  bool Has(BackwardStage stage) const;

  GroupGeometry geometry_;
  bool statistics_given_;
  Blocks blocks_;
  bool folds_;
  bool sums_;
  bool cut_;  // Groups into blocks.
  std::vector<BackwardStage> stages_;
  std::int64_t window_samples_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_BACKWARD_PLAN_H_
