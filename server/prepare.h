#ifndef GROUPNORM_SERVER_PREPARE_H_
#define GROUPNORM_SERVER_PREPARE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "server/execution.h"
#include "server/request_budget.h"
#include "tensor/buffer_pool.h"
#include "wire/message_slices.h"

namespace groupnorm {

/// What PrepareForward() and PrepareBackward() have in common: decodes the
/// message, counts its memory, and will begin a `RequestExecution`.
template <typename RequestExecution, typename Request>
absl::StatusOr<PreparedRequest> Prepare(
    absl::StatusOr<Request> (*decode)(const MessageSlices& message),
    absl::StatusOr<std::int64_t> (*count_memory)(const Request& request,
                                                 const RequestLimits& limits),
    MessageSlices message, const RequestLimits& limits) {
  absl::StatusOr<Request> request = decode(message);
  if (!request.ok()) return request.status();
  const absl::StatusOr<std::int64_t> memory_bytes =
      count_memory(*request, limits);
  if (!memory_bytes.ok()) return memory_bytes.status();
  return PreparedRequest{
      .memory_bytes = *memory_bytes,
      .begin = [request = *std::move(request), message = std::move(message)](
                   BufferPool& pool, std::function<void()> gathered) mutable
      -> std::unique_ptr<Execution> {
        return std::make_unique<RequestExecution>(request, std::move(message),
                                                  pool, std::move(gathered));
      }};
}

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_PREPARE_H_
