#include "kernels/blocks.h"

#include "kernels/partition.h"

namespace groupnorm {

Blocks::Blocks(const GroupGeometry& geometry)
    : geometry_(geometry),
      tile_positions_(
          std::max(kMinTilePositions, kBlockElements / geometry.channels)) {
  if (geometry.layout == Layout::kChannelsLast) {
    per_group_ = per_channel_ = CeilDivide(geometry.spatial, tile_positions_);
  } else {
    per_group_ = CeilDivide(geometry.values_per_group(), kBlockElements);
    per_channel_ = CeilDivide(geometry.spatial, kBlockElements);
  }
}

Block Blocks::OfGroup(std::int64_t sample, std::int64_t group,
                      std::int64_t index) const {
  const std::int64_t channel = group * geometry_.group_size();
  if (geometry_.layout == Layout::kChannelsLast) {
    return OfChannels(sample, channel, geometry_.group_size(), index);
  }
  const std::int64_t begin = index * kBlockElements;
  Block block;
  block.layout = Layout::kChannelsFirst;
  block.offset =
      (sample * geometry_.channels + channel) * geometry_.spatial + begin;
  block.rows = 1;
  block.width = std::min(kBlockElements, geometry_.values_per_group() - begin);
  block.channel = channel + begin / geometry_.spatial;
  block.position = begin % geometry_.spatial;
  return block;
}

Block Blocks::OfChannels(std::int64_t sample, std::int64_t channel,
                         std::int64_t num_channels, std::int64_t index) const {
  Block block;
  block.layout = geometry_.layout;
  block.channel = channel;
  if (geometry_.layout == Layout::kChannelsLast) {
    block.position = index * tile_positions_;
    block.rows = std::min(tile_positions_, geometry_.spatial - block.position);
    block.width = num_channels;
    block.stride = geometry_.channels;
    block.offset =
        (sample * geometry_.spatial + block.position) * geometry_.channels +
        channel;
  } else {
    block.position = index * kBlockElements;
    block.rows = 1;
    block.width = std::min(kBlockElements, geometry_.spatial - block.position);
    block.offset = (sample * geometry_.channels + channel) * geometry_.spatial +
                   block.position;
  }
  return block;
}

}  // namespace groupnorm
