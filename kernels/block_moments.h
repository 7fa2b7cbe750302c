#ifndef GROUPNORM_KERNELS_BLOCK_MOMENTS_H_
#define GROUPNORM_KERNELS_BLOCK_MOMENTS_H_

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/blocks.h"
#include "kernels/lane_sums.h"
#include "kernels/moments.h"
#include "kernels/multiply_add.h"
#include "tensor/element.h"

namespace groupnorm {

/// A block is summed again about its mean where the square of the mean (about
/// the pivot of the first pass) exceeds this many variances: below it, the
/// cancellation in M2 leaves the bounds of docs/math.md.
template <typename T>
inline constexpr double kRedoRatio = std::is_same_v<T, double> ? 16.0 : 100.0;

namespace internal {

// The two sums over a block that MomentsFromSums takes.
template <typename T>
struct SumsAbout {
  double base;   // Of the sum of the values.
  double pivot;  // Of the sum of the squares.

  void Add(T value, double& first, double& second) const {
    const double x = ToDouble(value);
    const double d = x - pivot;
    first += x - base;
    second = MulAdd(d, d, second);
  }
};

// The same for narrow types about 0, where x^2 is exact, so that plain
// arithmetic gives the bits of fused.
template <typename T>
struct SumsAboutZero {
  void Add(T value, double& first, double& second) const {
    const double x = ToDouble(value);
    first += x;
    second += x * x;
  }
};

template <typename T, typename About>
CompensatedPair SumBlock(const T* input, const Block& block,
                         const About& about) {
  const T* x = input + block.offset;
  if (block.layout == Layout::kChannelsFirst) {
    return SumRun<T>(block.width,
                     [&](std::int64_t i, double& first, double& second) {
                       about.Add(x[i], first, second);
                     });
  }
  RunSum channels(block.width);
  for (std::int64_t begin = 0; begin < block.width; begin += kMaxColumns) {
    const auto columns = static_cast<int>(
        std::min<std::int64_t>(kMaxColumns, block.width - begin));
    CompensatedPair sums[kMaxColumns];
    SumRows<T>(
        block.rows, columns,
        [&](std::int64_t row, int column, double& first, double& second) {
          about.Add(x[row * block.stride + begin + column], first, second);
        },
        sums);
    for (int column = 0; column < columns; ++column) {
      channels.Add(sums[column].first, sums[column].second);
    }
  }
  return channels.Total();
}

template <typename T>
Moments MomentsAbout(const T* input, const Block& block, double base,
                     double pivot) {
  const SumsAbout<T> about = {base, pivot};
  return MomentsFromSums(block.count(), base, pivot,
                         SumBlock(input, block, about));
}

}  // namespace internal

/// The moments of a block of a group.
///
/// Narrow element types are summed as they are, the squares of float64 about
/// the block's first element (they would not be exact otherwise). The second
/// pass takes the mean rounded to T as the pivot: equal values then differ from
/// it by exactly 0, and others so that the cancellation in M2 loses less than
/// two bits.
template <typename T>
Moments BlockMoments(const T* input, const Block& block) {
  constexpr bool kWide = std::is_same_v<T, double>;
  double pivot = 0;
  Moments moments;
  if constexpr (kWide) {
    pivot = input[block.offset];
    moments = internal::MomentsAbout(input, block, 0, pivot);
  } else {
    moments = MomentsFromSums(
        block.count(), 0, 0,
        internal::SumBlock(input, block, internal::SumsAboutZero<T>()));
  }
  const double offset = moments.mean - pivot;
  const double variance = moments.m2 / static_cast<double>(block.count());
  // False where something is NaN: nothing is to be gained there.
  if (!(offset * offset > kRedoRatio<T> * variance)) return moments;
  pivot = ToDouble(FromDouble<T>(moments.mean));
  return internal::MomentsAbout(input, block, kWide ? 0 : pivot, pivot);
}

/// The statistics of a (sample, group): those of its blocks' moments, which
/// `moments_of(index)` gives, merged in their order.
template <typename MomentsOf>
Statistics MergeBlocks(const Blocks& blocks, std::int64_t sample,
                       std::int64_t group, double epsilon,
                       MomentsOf moments_of) {
  Moments moments = moments_of(0);
  std::int64_t count = blocks.OfGroup(sample, group, 0).count();
  for (std::int64_t i = 1; i < blocks.per_group(); ++i) {
    const std::int64_t block_count = blocks.OfGroup(sample, group, i).count();
    moments = Merge(count, moments, block_count, moments_of(i));
    count += block_count;
  }
  return StatisticsFromMoments(count, moments, epsilon);
}

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_BLOCK_MOMENTS_H_
