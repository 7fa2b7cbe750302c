// The moments of groups in channels first.

#if defined(GROUPNORM_KERNELS_GROUP_MOMENTS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_GROUP_MOMENTS_INL_H_
#undef GROUPNORM_KERNELS_GROUP_MOMENTS_INL_H_
#else
#define GROUPNORM_KERNELS_GROUP_MOMENTS_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/normalize_overlapped-inl.h"
#include "kernels/run_moments-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// The moments of several consecutive groups of one block each, or of one group
/// of several blocks, at a time. Groups count those of all samples.
template <typename T>
class GroupMoments {
 public:
  GroupMoments(const Blocks& blocks, const T* input)
      : blocks_(blocks),
        input_(input),
        values_(blocks.geometry().values_per_group()) {}

  /// Groups that are small enough to be in cache together.
  static std::int64_t GroupsAtOnce(const Blocks& blocks) {
    constexpr std::int64_t kCachedElements = 8192;
    return std::clamp<std::int64_t>(
        kCachedElements / blocks.geometry().values_per_group(), 1, kMaxRuns);
  }

  /// Begins a first pass over a block of a group of narrow values.
  RowwiseSums<T> Rowwise(std::int64_t group, std::int64_t index) const {
    return {BlockOf(group, index), blocks_.GroupValues(index)};
  }

  /// Takes the sums of a first pass. Groups come in their order, at most
  /// kMaxRuns, and each one's blocks in theirs.
  void Add(std::int64_t group, std::int64_t index, const Pivot& pivot,
           const CompensatedPair& sums) {
    if (blocks_.per_panel() == 1) {
      pivots_[num_summed_] = pivot;
      sums_[num_summed_] = sums;
      ++num_summed_;
      return;
    }
    const std::int64_t count = blocks_.GroupValues(index);
    Pivot block_pivot = pivot;
    CompensatedPair block_sums = sums;
    Moments block;
    MomentsOfRuns(BlockOf(group, index), count, 0, 1, &block_pivot, &block_sums,
                  &block);
    if (index == 0) {
      moments_[0] = block;
    } else {
      MergeMoments(kBlockElements * index, moments_, count, &block, 1);
    }
    if (index + 1 == blocks_.per_panel()) num_summed_ = 1;
  }

  /// The moments of `groups` groups from `first` on: from the sums that were
  /// added, if they were, or else from sums taken now.
  const Moments* Of(std::int64_t first, std::int64_t groups) {
    if (blocks_.per_panel() == 1) {
      FirstSumsOfRuns(BlockOf(first + num_summed_, 0), values_, values_,
                      groups - num_summed_, pivots_ + num_summed_,
                      sums_ + num_summed_);
      MomentsOfRuns(BlockOf(first, 0), values_, values_, groups, pivots_, sums_,
                    moments_);
    } else if (num_summed_ == 0) {
      for (std::int64_t b = 0; b < blocks_.per_panel(); ++b) {
        Pivot pivot;
        const CompensatedPair sums =
            FirstSums(BlockOf(first, b), blocks_.GroupValues(b), pivot);
        Add(first, b, pivot, sums);
      }
    }
    num_summed_ = 0;
    return moments_;
  }

 private:
  const T* BlockOf(std::int64_t group, std::int64_t index) const {
    return input_ + group * values_ + index * kBlockElements;
  }

  const Blocks& blocks_;
  const T* input_;
  std::int64_t values_;
  std::int64_t num_summed_ = 0;  // Groups.
  Pivot pivots_[kMaxRuns];
  CompensatedPair sums_[kMaxRuns];
  Moments moments_[kMaxRuns];
};

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_GROUP_MOMENTS_INL_H_
