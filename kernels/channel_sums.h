#ifndef GROUPNORM_KERNELS_CHANNEL_SUMS_H_
#define GROUPNORM_KERNELS_CHANNEL_SUMS_H_

#include <cstdint>

#include "kernels/blocks.h"
#include "kernels/lane_sums.h"
#include "kernels/multiply_add.h"
#include "tensor/element.h"

namespace groupnorm {

/// The two sums over a channel of a sample that all gradients are made of.
struct ChannelSums {
  double ds = 0;  ///< Of dy (x - mean).
  double db = 0;  ///< Of dy.
};

/// Adds the sums of a channel's blocks in their order.
class ChannelBlockMerge {
 public:
  void Add(const ChannelSums& block) {
    ds_.Add(block.ds);
    db_.Add(block.db);
  }

  ChannelSums Total() const { return {ds_.value(), db_.value()}; }

 private:
  CompensatedSum ds_;
  CompensatedSum db_;
};

/// Sums over the index-th blocks of 1 to kMaxColumns consecutive channels.
template <typename T>
void SumChannelBlocks(const Blocks& blocks, const T* x, const T* dy,
                      std::int64_t sample, std::int64_t channel,
                      int num_channels, std::int64_t index, double mean,
                      ChannelSums* sums) {
  const auto add = [&](std::int64_t i, double& ds, double& db) {
    const double gradient = ToDouble(dy[i]);
    ds = MulAdd(gradient, ToDouble(x[i]) - mean, ds);
    db += gradient;
  };
  CompensatedPair pairs[kMaxColumns];
  if (blocks.geometry().layout == Layout::kChannelsLast) {
    const Block block = blocks.OfChannels(sample, channel, num_channels, index);
    SumRows<T>(
        block.rows, num_channels,
        [&](std::int64_t row, int column, double& ds, double& db) {
          add(block.offset + row * block.stride + column, ds, db);
        },
        pairs);
  } else {
    for (int c = 0; c < num_channels; ++c) {
      const Block block = blocks.OfChannels(sample, channel + c, 1, index);
      pairs[c] =
          SumRun<T>(block.width, [&](std::int64_t i, double& ds, double& db) {
            add(block.offset + i, ds, db);
          });
    }
  }
  for (int c = 0; c < num_channels; ++c) {
    sums[c] = {pairs[c].first.value(), pairs[c].second.value()};
  }
}

/// The same over all blocks.
template <typename T>
void SumChannels(const Blocks& blocks, const T* x, const T* dy,
                 std::int64_t sample, std::int64_t channel, int num_channels,
                 double mean, ChannelSums* sums) {
  ChannelBlockMerge merges[kMaxColumns];
  for (std::int64_t i = 0; i < blocks.per_channel(); ++i) {
    SumChannelBlocks(blocks, x, dy, sample, channel, num_channels, i, mean,
                     sums);
    for (int c = 0; c < num_channels; ++c) merges[c].Add(sums[c]);
  }
  for (int c = 0; c < num_channels; ++c) sums[c] = merges[c].Total();
}

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_CHANNEL_SUMS_H_
