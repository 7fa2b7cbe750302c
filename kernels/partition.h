#ifndef GROUPNORM_KERNELS_PARTITION_H_
#define GROUPNORM_KERNELS_PARTITION_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

/// How work is cut into tasks. Nothing here touches the bits of the results.
namespace groupnorm {

/// `count` equal pieces of work, in runs of at most `per_task`.
class Runs {
 public:
  Runs() = default;

  /// `per_task` is made at least 1.
  Runs(std::int64_t count, std::int64_t per_task)
      : count_(count), per_task_(std::max<std::int64_t>(1, per_task)) {}

  std::int64_t num_tasks() const {
    return count_ / per_task_ + (count_ % per_task_ != 0 ? 1 : 0);
  }

  std::int64_t begin(std::int64_t task) const { return task * per_task_; }
  std::int64_t end(std::int64_t task) const {
    return std::min(count_, (task + 1) * per_task_);
  }

 private:
  std::int64_t count_ = 0;
  std::int64_t per_task_ = 1;
};

/// Deals out arrays from scratch memory, each on a cache line of its own. With
/// a null base it only counts.
class ScratchLayout {
 public:
  explicit ScratchLayout(std::byte* base) : base_(base) {}

  template <typename T>
  T* Take(std::int64_t count) {
    constexpr std::size_t kAlignment = 64;
    const std::size_t offset = size_bytes_;
    const std::size_t bytes = static_cast<std::size_t>(count) * sizeof(T);
    size_bytes_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + offset);
  }

  std::size_t size_bytes() const { return size_bytes_; }

 private:
  std::byte* base_;
  std::size_t size_bytes_ = 0;
};

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_PARTITION_H_
