#ifndef GROUPNORM_SERVER_GATHER_H_
#define GROUPNORM_SERVER_GATHER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "kernels/computation.h"
#include "wire/message_slices.h"
#include "wire/request.h"

namespace groupnorm {

/// Brings a request's tensors from the slices of its message into memory that
/// the kernels can read: one phase, cut into tasks.
class Gather final : public Computation {
 public:
  /// The last task lets go of `message` and then calls `gathered`. Without any
  /// task neither happens.
  Gather(MessageSlices message, std::function<void()> gathered);

  // What to gather; all of it before the first task runs.

  /// Copies the elements as they are to `destination`, of `tensor.data.size`
  /// bytes.
  void AddElements(const TensorPayload& tensor, std::byte* destination);

  /// Converts the elements to doubles. Precondition: as many as the tensor has.
  void AddDoubles(const TensorPayload& tensor, std::span<double> destination);

  /// Fills with one value what the request left out.
  void AddConstant(double value, std::span<double> destination);

  std::int64_t num_phases() const override { return 1; }
  std::int64_t num_tasks(std::int64_t /*phase*/) const override {
    return num_tasks_;
  }
  void RunTask(std::int64_t phase, std::int64_t task) override;

 private:
  // One destination. Which source it has is said by `doubles` and `constant`.
  struct Part {
    TensorPayload tensor = {};
    std::byte* elements = nullptr;
    std::span<double> doubles = {};
    bool constant = false;
    double value = 0;
    std::int64_t num_tasks = 0;
  };

  void Add(const Part& part);
  void RunPart(const Part& part, std::int64_t task) const;

  // Two tensors of the input's shape or one, parameters and statistics.
  static constexpr int kMaxParts = 5;
  MessageSlices message_;
  std::function<void()> gathered_;
  std::array<Part, kMaxParts> parts_;
  int num_parts_ = 0;
  std::int64_t num_tasks_ = 0;
  std::atomic<std::int64_t> tasks_finished_ = 0;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_GATHER_H_
