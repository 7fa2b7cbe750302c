#ifndef GROUPNORM_KERNELS_BLOCKS_H_
#define GROUPNORM_KERNELS_BLOCKS_H_

#include <algorithm>
#include <cstdint>

#include "kernels/lane_sums.h"
#include "tensor/group_geometry.h"

/// How sums are cut into blocks. The cut decides on the bits of the results, so
/// it depends on the extents of one sample and the layout alone: docs/math.md,
/// "Blocks".
namespace groupnorm {

/// Values of a block in channels first, about those of a tile over all groups
/// in channels last: a block is still in the second-level cache when it is read
/// again.
inline constexpr std::int64_t kBlockElements = 65536;

/// Positions of a tile in channels last, however many channels there are.
inline constexpr std::int64_t kMinTilePositions = 8;

/// A part of a (sample, group), or of the channels of a sample: `rows` runs of
/// `width` consecutive elements, `stride` elements apart. Channels first: one
/// run. Channels last: a row is a position, a column a channel.
struct Block {
  Layout layout = Layout::kChannelsFirst;
  std::int64_t offset = 0;  ///< Of the first element, in the tensor.
  std::int64_t rows = 0;
  std::int64_t width = 0;
  std::int64_t stride = 0;
  std::int64_t channel = 0;   ///< Of the first element.
  std::int64_t position = 0;  ///< Likewise, within its channel.

  std::int64_t count() const { return rows * width; }
};

/// The blocks of a tensor that has elements.
class Blocks {
 public:
  explicit Blocks(const GroupGeometry& geometry);

  const GroupGeometry& geometry() const { return geometry_; }

  /// Blocks of one (sample, group).
  std::int64_t per_group() const { return per_group_; }

  /// Blocks of one (sample, channel).
  std::int64_t per_channel() const { return per_channel_; }

  Block OfGroup(std::int64_t sample, std::int64_t group,
                std::int64_t index) const;

  /// The index-th blocks of consecutive channels: in channels first of a
  /// single one.
  Block OfChannels(std::int64_t sample, std::int64_t channel,
                   std::int64_t num_channels, std::int64_t index) const;

 private:
  GroupGeometry geometry_;
  std::int64_t tile_positions_;
  std::int64_t per_group_;
  std::int64_t per_channel_;
};

/// Calls `apply(c, i)` for every element of a block of a group, where i is its
/// index in the tensor and c = `channel(its channel)`, which is called once or
/// a few times for each channel.
template <typename Channel, typename Apply>
void ForEachElement(const GroupGeometry& geometry, const Block& block,
                    Channel channel, Apply apply) {
  if (block.layout == Layout::kChannelsFirst) {
    std::int64_t i = block.offset;
    const std::int64_t end = i + block.width;
    std::int64_t next = i + geometry.spatial - block.position;
    for (std::int64_t c = block.channel; i < end; ++c) {
      const auto coefficients = channel(c);
      for (next = std::min(next, end); i < next; ++i) apply(coefficients, i);
      next = i + geometry.spatial;
    }
    return;
  }
  using Coefficients = decltype(channel(block.channel));
  for (std::int64_t first = 0; first < block.width; first += kMaxColumns) {
    const std::int64_t columns =
        std::min<std::int64_t>(kMaxColumns, block.width - first);
    Coefficients coefficients[kMaxColumns];
    for (std::int64_t c = 0; c < columns; ++c) {
      coefficients[c] = channel(block.channel + first + c);
    }
    for (std::int64_t row = 0; row < block.rows; ++row) {
      const std::int64_t i = block.offset + row * block.stride + first;
      for (std::int64_t c = 0; c < columns; ++c) apply(coefficients[c], i + c);
    }
  }
}

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_BLOCKS_H_
