#ifndef GROUPNORM_SERVER_EXECUTION_H_
#define GROUPNORM_SERVER_EXECUTION_H_

#include <grpcpp/support/byte_buffer.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/computation.h"
#include "server/request_budget.h"
#include "tensor/buffer_pool.h"
#include "wire/message_slices.h"
#include "wire/request.h"

namespace groupnorm {

/// A request that was checked and has its memory: what is left is to run its
/// tasks and to encode the response. Gathers the payload first, then computes.
class Execution : public Computation {
 public:
  std::int64_t num_phases() const override;
  std::int64_t num_tasks(std::int64_t phase) const override;
  void RunTask(std::int64_t phase, std::int64_t task) override;

  /// The encoded response, which takes over the memory of the large tensor.
  /// Precondition: all tasks have run; called once.
  virtual grpc::ByteBuffer TakeResponse() = 0;

 protected:
  /// Appends the phases of `stage` to those that there are.
  void AddStage(std::unique_ptr<Computation> stage);

 private:
  struct Phase {
    Computation& stage;
    std::int64_t phase;  // Within the stage.
  };

  // Looked up, not listed: a batch of many small samples has millions of
  // phases.
  Phase At(std::int64_t phase) const;

  std::vector<std::unique_ptr<Computation>> stages_;
};

/// A request that was decoded and checked. It holds its message, and no memory
/// beside it.
struct PreparedRequest {
  /// All that `begin` and the response take, as the pool rounds it up.
  std::int64_t memory_bytes = 0;

  /// Takes the memory; called once at most. `gathered` runs once the message is
  /// no longer needed, in one of the tasks; never where there is nothing to
  /// gather. Throws std::bad_alloc where the machine has no more memory.
  std::function<std::unique_ptr<Execution>(BufferPool& pool,
                                           std::function<void()> gathered)>
      begin;
};

/// Decodes a message, checks it against the contract and what it needs against
/// the limits. INVALID_ARGUMENT: as DecodeForwardRequest says.
/// RESOURCE_EXHAUSTED: as CheckLimits says.
absl::StatusOr<PreparedRequest> PrepareForward(MessageSlices message,
                                               const RequestLimits& limits);
absl::StatusOr<PreparedRequest> PrepareBackward(MessageSlices message,
                                                const RequestLimits& limits);

/// The bytes that a request makes the server allocate, checked against the
/// limits like its response. Allocates nothing itself.
absl::StatusOr<std::int64_t> ForwardMemoryBytes(const ForwardRequest& request,
                                                const RequestLimits& limits);
absl::StatusOr<std::int64_t> BackwardMemoryBytes(const BackwardRequest& request,
                                                 const RequestLimits& limits);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_EXECUTION_H_
