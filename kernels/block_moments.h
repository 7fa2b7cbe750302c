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

// Sums of x - pivot and of its square over a block. kPivot false: pivot is 0,
// and x^2 of a type narrower than float64 is exact, so that plain arithmetic
// gives the bits of fused.
template <bool kPivot, typename T>
SumPair SumAbout(const T* input, const Block& block, double pivot) {
  const auto add = [pivot](T value, double& first, double& second) {
    const double x = ToDouble(value);
    if constexpr (kPivot) {
      const double d = x - pivot;
      first += d;
      second = MulAdd(d, d, second);
    } else {
      first += x;
      second += x * x;
    }
  };
  const T* x = input + block.offset;
  if (block.layout == Layout::kChannelsFirst) {
    return SumRun(block.width,
                  [&](std::int64_t i, double& first, double& second) {
                    add(x[i], first, second);
                  });
  }
  RunSum channels(block.width);
  for (std::int64_t begin = 0; begin < block.width; begin += kMaxColumns) {
    const auto columns = static_cast<int>(
        std::min<std::int64_t>(kMaxColumns, block.width - begin));
    SumPair sums[kMaxColumns];
    SumRows(
        block.rows, columns,
        [&](std::int64_t row, int column, double& first, double& second) {
          add(x[row * block.stride + begin + column], first, second);
        },
        sums);
    for (int column = 0; column < columns; ++column) {
      channels.Add([&](double& first, double& second) {
        first += sums[column].first;
        second += sums[column].second;
      });
    }
  }
  return channels.Total();
}

}  // namespace internal

/// The moments of a block of a group.
///
/// Narrow element types are summed as they are, float64 about the block's first
/// element (its squares would not be exact, nor its sums of large values right
/// to 1e-12). The second pass takes the mean rounded to T as the pivot: equal
/// values then differ from it by exactly 0, and others so that the cancellation
/// of the second pass loses less than two bits.
template <typename T>
Moments BlockMoments(const T* input, const Block& block) {
  constexpr bool kWide = std::is_same_v<T, double>;
  const std::int64_t count = block.count();
  const auto n = static_cast<double>(count);
  double pivot = 0;
  if constexpr (kWide) pivot = input[block.offset];
  SumPair sums = internal::SumAbout<kWide>(input, block, pivot);
  const double offset = sums.first / n;
  const Moments moments = MomentsFromSums(count, pivot, sums);
  // False where something is NaN: nothing is to be gained there.
  if (!(offset * offset > kRedoRatio<T> * (moments.m2 / n))) return moments;
  pivot = ToDouble(FromDouble<T>(pivot + offset));
  sums = internal::SumAbout<true>(input, block, pivot);
  return MomentsFromSums(count, pivot, sums);
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
