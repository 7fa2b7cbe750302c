#ifndef GROUPNORM_KERNELS_BLOCKS_H_
#define GROUPNORM_KERNELS_BLOCKS_H_

#include <cstdint>

#include "tensor/group_geometry.h"

/// How a tensor is cut into blocks. The cut decides on the bits of the results,
/// so it depends on the extents of one sample and the layout alone:
/// docs/math.md, "Blocks".
namespace groupnorm {

/// a / b, rounded up. Neither is negative.
inline std::int64_t CeilDivide(std::int64_t a, std::int64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

/// Values of a block in channels first, and at least those of a tile over all
/// channels in channels last: a block is still in the second-level cache when
/// it is read again.
inline constexpr std::int64_t kBlockElements = 65536;

/// Positions of a tile in channels last, however many channels there are: what
/// a group keeps of a tile stays small beside the tile.
inline constexpr std::int64_t kMinTilePositions = 128;

/// Channels of a panel in channels last, unless one group has more.
inline constexpr std::int64_t kPanelChannels = 512;

/// Consecutive groups of one sample that are worked on together. Channels
/// first: a single group. Channels last: as many as have kPanelChannels.
struct Panel {
  std::int64_t sample = 0;
  std::int64_t group = 0;  ///< The first.
  std::int64_t num_groups = 0;
  std::int64_t channel = 0;  ///< The first.
  std::int64_t num_channels = 0;
};

/// A part of a panel: `rows` runs of `width` consecutive elements, `stride`
/// elements apart. Channels first: one run. Channels last: a row is a position,
/// a column a channel.
struct Block {
  std::int64_t offset = 0;  ///< Of the first element, in the tensor.
  std::int64_t rows = 0;
  std::int64_t width = 0;
  std::int64_t stride = 0;
  std::int64_t channel = 0;   ///< Of the first element.
  std::int64_t position = 0;  ///< Likewise, within its channel.
};

/// The blocks of a tensor that has elements.
class Blocks {
 public:
  /// Without spatial extents, or with one channel, the layouts are the same in
  /// memory: both are then cut as channels first.
  explicit Blocks(const GroupGeometry& geometry);

  /// Its layout says how the tensor is cut.
  const GroupGeometry& geometry() const { return geometry_; }
  bool channels_last() const {
    return geometry_.layout == Layout::kChannelsLast;
  }

  /// Panels of one sample.
  std::int64_t panels() const { return panels_; }

  /// Blocks of one panel, and so of each of its groups.
  std::int64_t per_panel() const { return per_panel_; }

  /// Blocks of the sums over one channel.
  std::int64_t per_channel() const { return per_channel_; }

  Panel PanelOf(std::int64_t sample, std::int64_t index) const;

  Block OfPanel(const Panel& panel, std::int64_t index) const;

  /// Values of each group in the index-th block of its panel.
  std::int64_t GroupValues(std::int64_t index) const;

  /// The index-th block of the sums over one channel (channels first).
  Block OfChannel(std::int64_t sample, std::int64_t channel,
                  std::int64_t index) const;

 private:
  // Positions of the index-th tile.
  std::int64_t TilePositions(std::int64_t index) const;

  GroupGeometry geometry_;
  std::int64_t tile_positions_;
  std::int64_t panel_groups_;
  std::int64_t panels_;
  std::int64_t per_panel_;
  std::int64_t per_channel_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_BLOCKS_H_
