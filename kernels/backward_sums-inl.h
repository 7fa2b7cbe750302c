// Where Backward's sums over channels come from: the blocks of panels, or of
// channels, of a tensor.

#if defined(GROUPNORM_KERNELS_BACKWARD_SUMS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_BACKWARD_SUMS_INL_H_
#undef GROUPNORM_KERNELS_BACKWARD_SUMS_INL_H_
#else
#define GROUPNORM_KERNELS_BACKWARD_SUMS_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "kernels/backward_plan.h"
#include "kernels/blocks.h"
#include "kernels/channel_sums-inl.h"
#include "kernels/column_sums-inl.h"
#include "kernels/partition.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// The sums over the channels of one Backward. Groups are those of a panel,
/// whose means are known.
template <typename T>
class BackwardSums {
 public:
  /// What is referred to has to live as long.
  BackwardSums(const BackwardPlan& plan, const BackwardPlan::Scratch& scratch,
               const T* x, const T* dy)
      : plan_(plan),
        blocks_(plan.blocks()),
        geometry_(blocks_.geometry()),
        scratch_(scratch),
        x_(x),
        dy_(dy) {}

  /// Over at most kMaxChannels channels of a panel, from its `column`-th on;
  /// `first_sample` is the window's.
  HWY_NOINLINE void OfPanel(const Panel& panel, std::int64_t first_sample,
                            std::int64_t column, std::int64_t num_channels,
                            const GroupGradient* groups,
                            const ChannelSums& sums) const {
    const std::int64_t blocks = blocks_.per_channel();
    const std::int64_t channel = panel.channel + column;
    if (plan_.merges_sums()) {
      const std::int64_t slot = (panel.sample - first_sample) * blocks;
      BlockSumsMerge merge(num_channels);
      for (std::int64_t i = 0; i < blocks; ++i) {
        merge.Add(scratch_.block_sums.From((slot + i) * geometry_.channels +
                                           channel));
      }
      merge.Store(sums);
    } else if (!blocks_.channels_last()) {
      const std::int64_t group_size = geometry_.group_size();
      std::int64_t g = column / group_size;
      for (std::int64_t c = 0; c < num_channels; ++g) {
        const std::int64_t end =
            std::min(num_channels, (g + 1) * group_size - column);
        const std::int64_t i =
            (panel.sample * geometry_.channels + channel + c) *
            geometry_.spatial;
        SumChannels(x_ + i, dy_ + i, geometry_.spatial, end - c,
                    groups[g].statistics.mean, FetchAhead(), sums.From(c));
        c = end;
      }
    } else if (blocks == 1) {
      OfTile(panel, 0, column, groups, sums);
    } else {
      BlockSumsMerge merge(num_channels);
      for (std::int64_t i = 0; i < blocks; ++i) {
        OfTile(panel, i, column, groups, sums);
        merge.Add(sums);
      }
      merge.Store(sums);
    }
  }

  /// Stores those of the index-th block of a panel of the window, channels
  /// last.
  void StoreOfTile(const Panel& panel, std::int64_t first_sample,
                   std::int64_t index, const GroupGradient* groups) const {
    const std::int64_t slot =
        (panel.sample - first_sample) * blocks_.per_channel() + index;
    for (std::int64_t c = 0; c < panel.num_channels; c += kMaxChannels) {
      OfTile(panel, index, c, groups,
             stored().From(slot * geometry_.channels + panel.channel + c));
    }
  }

  /// Stores those of blocks `begin` to `end` of the window's channels, channels
  /// first.
  HWY_NOINLINE void StoreOfChannels(std::int64_t first_sample,
                                    std::int64_t begin,
                                    std::int64_t end) const {
    const std::int64_t blocks = blocks_.per_channel();
    const std::int64_t channels = geometry_.channels;
    for (std::int64_t i = begin; i < end;) {
      // Neighbouring channels of a group are summed together where they can be.
      const std::int64_t sample = i / blocks / channels;
      const std::int64_t channel = i / blocks % channels;
      const std::int64_t group = channel / geometry_.group_size();
      const double mean = scratch_.groups[sample * geometry_.num_groups + group]
                              .statistics.mean;
      const Block block =
          blocks_.OfChannel(first_sample + sample, channel, i % blocks);
      const ChannelSums to =
          stored().From((sample * blocks + i % blocks) * channels + channel);
      const T* x = x_ + block.offset;
      const T* dy = dy_ + block.offset;
      if (blocks > 1) {
        SumChannelBlock(x, dy, block.width, mean, 0, to.ds, to.db);
        ++i;
      } else {
        const std::int64_t next =
            std::min(end - i, (group + 1) * geometry_.group_size() - channel);
        SumChannels(x, dy, geometry_.spatial, next, mean, 0, to);
        i += next;
      }
    }
  }

 private:
  // Where kBlockSums stores.
  const ChannelSums& stored() const {
    return plan_.merges_sums() ? scratch_.block_sums : scratch_.sums;
  }

  // Over the index-th block of at most kMaxChannels channels of a panel, from
  // `column` on, channels last.
  HWY_NOINLINE void OfTile(const Panel& panel, std::int64_t index,
                           std::int64_t column, const GroupGradient* groups,
                           const ChannelSums& sums) const {
    const Columns columns = ColumnsOf(blocks_.OfPanel(panel, index), column);
    double means[kColumnCapacity];
    const std::int64_t group_size = geometry_.group_size();
    for (std::int64_t c = 0; c < columns.width;) {
      const std::int64_t group = (column + c) / group_size;
      const std::int64_t next =
          std::min(columns.width, (group + 1) * group_size - column);
      std::fill(means + c, means + next, groups[group].statistics.mean);
      c = next;
    }
    Fold(columns, means);
    SumTileChannels(x_, dy_, columns, means, sums);
  }

  // In elements: how far ahead the sums of a group fetch. Nothing where a group
  // leaves the second-level cache before it is read again: such groups are
  // long, and what the processor fetches by itself then is better.
  std::int64_t FetchAhead() const {
    constexpr std::int64_t kBytes = 6144;
    constexpr auto kSize = static_cast<std::int64_t>(sizeof(T));
    const bool fits =
        geometry_.values_per_group() * kSize * 2 <= kSecondLevelBytes / 2;
    return fits ? kBytes / kSize : 0;
  }

  const BackwardPlan& plan_;
  const Blocks& blocks_;
  const GroupGeometry& geometry_;
  const BackwardPlan::Scratch& scratch_;
  const T* x_;
  const T* dy_;
};

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_BACKWARD_SUMS_INL_H_
