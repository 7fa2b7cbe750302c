#ifndef GROUPNORM_KERNELS_PARTITION_H_
#define GROUPNORM_KERNELS_PARTITION_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "groupnorm/dtype.h"
#include "tensor/group_geometry.h"

/// How work is cut into tasks and scratch memory dealt out. Nothing here
/// touches the bits of the results.
namespace groupnorm {

/// a / b, rounded up. Neither is negative.
inline std::int64_t CeilDivide(std::int64_t a, std::int64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

/// `count` equal pieces of work, in runs of at most `per_task`: a task each.
class Runs {
 public:
  /// `per_task` is made at least 1.
  Runs(std::int64_t count, std::int64_t per_task)
      : count_(count), per_task_(std::max<std::int64_t>(1, per_task)) {}

  std::int64_t num_tasks() const { return CeilDivide(count_, per_task_); }
  std::int64_t begin(std::int64_t task) const { return task * per_task_; }
  std::int64_t end(std::int64_t task) const {
    return std::min(count_, begin(task) + per_task_);
  }

 private:
  std::int64_t count_;
  std::int64_t per_task_;
};

/// What the sums of a run of values take beside the values themselves, in
/// elements: 70 to 350 ns against 8 to 16 for an element.
inline constexpr std::int64_t kSumOverhead = 16;

/// Groups that make a task of about `elements`, where each takes the time of
/// `elements_per_group`. In channels last a run of groups is a run of channels,
/// which should fill cache lines.
inline std::int64_t GroupsPerTask(const GroupGeometry& geometry,
                                  std::int64_t elements,
                                  std::int64_t elements_per_group) {
  constexpr std::int64_t kMinChannels = 16;
  const std::int64_t groups = elements / elements_per_group;
  if (geometry.layout == Layout::kChannelsFirst) return groups;
  return std::max(groups, kMinChannels / geometry.group_size());
}

/// Whether scratch memory for a part of a tensor of `elements` elements is
/// small beside it. In channels last a group's share of a tile may be a few
/// values, so that the moments of all blocks outweighed the tensor.
inline bool IsSmallScratch(std::int64_t scratch_bytes, std::int64_t elements,
                           DataType dtype) {
  constexpr std::int64_t kMinRatio = 64;
  return scratch_bytes <=
         elements * static_cast<std::int64_t>(ElementSize(dtype)) / kMinRatio;
}

/// Deals out arrays from scratch memory, each on cache lines of its own. With a
/// null base it only counts.
class ScratchLayout {
 public:
  /// `base` is aligned to 64 bytes.
  explicit ScratchLayout(std::byte* base) : base_(base) {}

  /// Null where `count` is 0 or the base is null.
  template <typename T>
  T* Take(std::int64_t count) {
    constexpr std::size_t kAlignment = 64;
    const std::size_t offset = size_bytes_;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    size_bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    if (base_ == nullptr || count == 0) return nullptr;
    return reinterpret_cast<T*>(base_ + offset);
  }

  std::size_t size_bytes() const { return size_bytes_; }

 private:
  std::byte* base_;
  std::size_t size_bytes_ = 0;
};

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_PARTITION_H_
