#ifndef GROUPNORM_SERVER_ROUNDING_H_
#define GROUPNORM_SERVER_ROUNDING_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "groupnorm/dtype.h"
#include "kernels/computation.h"

namespace groupnorm {

/// Rounds results in float64 to the element type that is sent, each value once,
/// to nearest even: one phase, cut into tasks.
class Rounding final : public Computation {
 public:
  explicit Rounding(DataType dtype) : dtype_(dtype) {}

  /// Rounds `values` to elements at `elements`; before the first task runs.
  void Add(std::span<const double> values, std::byte* elements);

  std::int64_t num_phases() const override { return 1; }
  std::int64_t num_tasks(std::int64_t phase) const override;
  void RunTask(std::int64_t phase, std::int64_t task) override;

 private:
  struct Part {
    std::span<const double> values;
    std::byte* elements;
    std::int64_t num_tasks;
  };

  DataType dtype_;
  std::vector<Part> parts_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_ROUNDING_H_
