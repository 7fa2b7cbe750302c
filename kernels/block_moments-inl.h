// The moments of blocks of groups, and of groups from those of their blocks.

#if defined(GROUPNORM_KERNELS_BLOCK_MOMENTS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_BLOCK_MOMENTS_INL_H_
#undef GROUPNORM_KERNELS_BLOCK_MOMENTS_INL_H_
#else
#define GROUPNORM_KERNELS_BLOCK_MOMENTS_INL_H_
#endif

#include <algorithm>
#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/group_array.h"
#include "kernels/moments-inl.h"
#include "kernels/run_moments-inl.h"
#include "kernels/tile_moments-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// The moments of each group of the index-th block of a panel.
template <typename T>
void BlockMoments(const Blocks& blocks, const T* input, const Panel& panel,
                  std::int64_t index, Moments* moments) {
  const Block block = blocks.OfPanel(panel, index);
  if (blocks.channels_last()) {
    TileMoments(input, block, blocks.geometry().group_size(), moments);
  } else {
    RunMoments(input + block.offset, block.width, 0, 1, moments);
  }
}

/// The moments of each group of a panel: those of its blocks merged in their
/// order.
template <typename T>
void PanelMoments(const Blocks& blocks, const T* input, const Panel& panel,
                  Moments* moments) {
  BlockMoments(blocks, input, panel, 0, moments);
  std::int64_t count = blocks.GroupValues(0);
  for (std::int64_t i = 1; i < blocks.per_panel(); ++i) {
    GroupArray<Moments> block_moments(panel.num_groups);
    BlockMoments(blocks, input, panel, i, block_moments.data());
    const std::int64_t block_count = blocks.GroupValues(i);
    MergeMoments(count, moments, block_count, block_moments.data(),
                 panel.num_groups);
    count += block_count;
  }
}

/// The moments of consecutive groups from those of all their blocks, merged in
/// their order. `block_moments` are those of the first block; each block's
/// follow those of the one before, `stride` further on.
inline void MergeBlocks(const Blocks& blocks, const Moments* block_moments,
                        std::int64_t stride, std::int64_t num_groups,
                        Moments* moments) {
  std::copy_n(block_moments, num_groups, moments);
  std::int64_t count = blocks.GroupValues(0);
  for (std::int64_t i = 1; i < blocks.per_panel(); ++i) {
    const std::int64_t block_count = blocks.GroupValues(i);
    MergeMoments(count, moments, block_count, block_moments + i * stride,
                 num_groups);
    count += block_count;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_BLOCK_MOMENTS_INL_H_
