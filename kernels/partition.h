#ifndef GROUPNORM_KERNELS_PARTITION_H_
#define GROUPNORM_KERNELS_PARTITION_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "groupnorm/dtype.h"
#include "kernels/blocks.h"
#include "tensor/group_geometry.h"

/// How work is cut into tasks and scratch memory dealt out. Nothing here
/// touches the bits of the results.
namespace groupnorm {

/// `count` equal pieces of work, in runs of at most `per_task`: a task each.
/// All are about as long, so that no worker is left with a small rest.
class Runs {
 public:
  /// `per_task` is made at least 1.
  Runs(std::int64_t count, std::int64_t per_task) : count_(count) {
    const std::int64_t most = std::max<std::int64_t>(1, per_task);
    const std::int64_t tasks =
        std::max<std::int64_t>(1, CeilDivide(count, most));
    per_task_ = std::max<std::int64_t>(1, CeilDivide(count, tasks));
  }

  std::int64_t count() const { return count_; }
  std::int64_t num_tasks() const { return CeilDivide(count_, per_task_); }
  std::int64_t begin(std::int64_t task) const { return task * per_task_; }
  std::int64_t end(std::int64_t task) const {
    return std::min(count_, begin(task) + per_task_);
  }

 private:
  std::int64_t count_;
  std::int64_t per_task_;
};

/// Elements of a task: some tens of microseconds. More where there are many, so
/// that a task has several panels and reads one while it writes another.
inline std::int64_t TaskElements(const GroupGeometry& geometry) {
  constexpr std::int64_t kFewest = 65536;
  constexpr std::int64_t kMost = 262144;
  constexpr std::int64_t kTasks = 16;
  return std::clamp(geometry.num_elements() / kTasks, kFewest, kMost);
}

/// What the statistics of a group take beside its values, in elements.
inline constexpr std::int64_t kGroupElements = 128;

/// What merging a block into its group takes, in elements.
inline constexpr std::int64_t kMergeElements = 64;

/// Elements of a panel that the next ones do not exceed.
inline std::int64_t PanelElements(const Blocks& blocks) {
  return blocks.PanelOf(0, 0).num_channels * blocks.geometry().spatial;
}

/// Whether panels are worked on as wholes: always where they have one block,
/// and also where they are many and not larger than a task may be. They are
/// then in cache when they are read again.
inline bool TakesWholePanels(const Blocks& blocks) {
  constexpr std::int64_t kMostElements = std::int64_t{1} << 20;
  constexpr std::int64_t kFewestPanels = 8;
  return blocks.per_panel() == 1 ||
         (PanelElements(blocks) <= kMostElements &&
          blocks.geometry().batch * blocks.panels() >= kFewestPanels);
}

/// The panels of `batch` samples, in runs of a task each.
inline Runs PanelRuns(const Blocks& blocks, std::int64_t batch) {
  return {batch * blocks.panels(),
          TaskElements(blocks.geometry()) /
              (PanelElements(blocks) +
               kGroupElements * blocks.PanelOf(0, 0).num_groups)};
}

/// Their blocks.
inline Runs BlockRuns(const Blocks& blocks, std::int64_t batch) {
  return {batch * blocks.panels() * blocks.per_panel(),
          TaskElements(blocks.geometry()) * blocks.per_panel() /
              PanelElements(blocks)};
}

/// Tensors that together have more bytes than these no longer fit the caches,
/// or those of one processor core.
inline constexpr std::int64_t kCacheBytes = std::int64_t{12} << 20;
inline constexpr std::int64_t kSecondLevelBytes = std::int64_t{1} << 20;

inline std::int64_t TensorBytes(const GroupGeometry& geometry, DataType dtype) {
  return geometry.num_elements() *
         static_cast<std::int64_t>(ElementSize(dtype));
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
