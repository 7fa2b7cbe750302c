#include "kernels/blocks.h"

#include <algorithm>
#include <numeric>

namespace groupnorm {
namespace {

// Groups of a panel in channels last. Panels are about equally wide, and begin
// at cache lines where they can, whatever the element type: rows then go past
// the caches whole.
std::int64_t PanelGroups(const GroupGeometry& geometry) {
  constexpr std::int64_t kLineElements = 32;
  const std::int64_t group_size = geometry.group_size();
  const std::int64_t aligned =
      kLineElements / std::gcd(kLineElements, group_size);
  const std::int64_t most = std::clamp<std::int64_t>(
      kPanelChannels / group_size, 1, geometry.num_groups);
  if (most < aligned || most == geometry.num_groups) return most;
  const std::int64_t panels =
      CeilDivide(geometry.num_groups, most / aligned * aligned);
  return CeilDivide(CeilDivide(geometry.num_groups, panels), aligned) * aligned;
}

}  // namespace

Blocks::Blocks(const GroupGeometry& geometry)
    : geometry_(geometry),
      tile_positions_(
          std::max(kMinTilePositions, kBlockElements / geometry.channels)) {
  if (geometry.spatial == 1 || geometry.channels == 1) {
    geometry_.layout = Layout::kChannelsFirst;
  }
  if (channels_last()) {
    panel_groups_ = PanelGroups(geometry);
    per_panel_ = per_channel_ = CeilDivide(geometry.spatial, tile_positions_);
  } else {
    panel_groups_ = 1;
    per_panel_ = CeilDivide(geometry.values_per_group(), kBlockElements);
    per_channel_ = CeilDivide(geometry.spatial, kBlockElements);
  }
  panels_ = CeilDivide(geometry.num_groups, panel_groups_);
}

Panel Blocks::PanelOf(std::int64_t sample, std::int64_t index) const {
  Panel panel;
  panel.sample = sample;
  panel.group = index * panel_groups_;
  panel.num_groups =
      std::min(panel_groups_, geometry_.num_groups - panel.group);
  panel.channel = panel.group * geometry_.group_size();
  panel.num_channels = panel.num_groups * geometry_.group_size();
  return panel;
}

Block Blocks::OfPanel(const Panel& panel, std::int64_t index) const {
  Block block;
  if (channels_last()) {
    block.position = index * tile_positions_;
    block.rows = TilePositions(index);
    block.width = panel.num_channels;
    block.stride = geometry_.channels;
    block.channel = panel.channel;
    block.offset =
        (panel.sample * geometry_.spatial + block.position) * block.stride +
        panel.channel;
  } else {
    const std::int64_t begin = index * kBlockElements;
    block.offset = (panel.sample * geometry_.channels + panel.channel) *
                       geometry_.spatial +
                   begin;
    block.rows = 1;
    block.width =
        std::min(kBlockElements, geometry_.values_per_group() - begin);
    block.channel = panel.channel + begin / geometry_.spatial;
    block.position = begin % geometry_.spatial;
  }
  return block;
}

std::int64_t Blocks::GroupValues(std::int64_t index) const {
  if (channels_last()) return TilePositions(index) * geometry_.group_size();
  return std::min(kBlockElements,
                  geometry_.values_per_group() - index * kBlockElements);
}

Block Blocks::OfChannel(std::int64_t sample, std::int64_t channel,
                        std::int64_t index) const {
  Block block;
  block.channel = channel;
  block.position = index * kBlockElements;
  block.rows = 1;
  block.width = std::min(kBlockElements, geometry_.spatial - block.position);
  block.offset = (sample * geometry_.channels + channel) * geometry_.spatial +
                 block.position;
  return block;
}

std::int64_t Blocks::TilePositions(std::int64_t index) const {
  return std::min(tile_positions_, geometry_.spatial - index * tile_positions_);
}

}  // namespace groupnorm
