#ifndef GROUPNORM_KERNELS_FILL_H_
#define GROUPNORM_KERNELS_FILL_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/computation.h"
#include "kernels/partition.h"

namespace groupnorm {

/// `count` doubles that become `value`.
struct Fill {
  double* data;
  std::int64_t count;
  double value;
};

/// What remains to compute where a tensor has no elements: a phase for each
/// array.
class FillComputation final : public Computation {
 public:
  explicit FillComputation(std::vector<Fill> fills)
      : fills_(std::move(fills)) {}

  std::int64_t num_phases() const override {
    return static_cast<std::int64_t>(fills_.size());
  }

  std::int64_t num_tasks(std::int64_t phase) const override {
    return RunsOf(phase).num_tasks();
  }

  void RunTask(std::int64_t phase, std::int64_t task) override {
    const Fill& fill = fills_[static_cast<std::size_t>(phase)];
    const Runs runs = RunsOf(phase);
    std::fill(fill.data + runs.begin(task), fill.data + runs.end(task),
              fill.value);
  }

 private:
  Runs RunsOf(std::int64_t phase) const {
    constexpr std::int64_t kDoublesPerTask = std::int64_t{1} << 17;
    return {fills_[static_cast<std::size_t>(phase)].count, kDoublesPerTask};
  }

  std::vector<Fill> fills_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_FILL_H_
