#ifndef GROUPNORM_SERVER_REQUEST_BUDGET_H_
#define GROUPNORM_SERVER_REQUEST_BUDGET_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace groupnorm {

/// What one request may cost: ServerOptions has the meanings.
struct RequestLimits {
  std::int64_t max_message_bytes = 0;
  std::int64_t max_queued_bytes = 0;
};

/// Adds up what a request makes the server allocate, before anything is
/// allocated. Saturates instead of overflowing. No argument is negative.
class RequestBudget {
 public:
  /// Adds memory as it is.
  void Add(std::int64_t bytes);

  /// Adds `buffers` buffers of `count` elements of `element_bytes` bytes each,
  /// rounded up as the BufferPool does.
  void AddBuffers(int buffers, std::int64_t count, std::int64_t element_bytes);

  /// The sum; INT64_MAX where it would be more.
  std::int64_t bytes() const { return bytes_; }

 private:
  std::int64_t bytes_ = 0;
};

/// RESOURCE_EXHAUSTED that names need, limit and option where the encoded
/// response exceeds max_message_bytes.
absl::Status CheckResponse(std::int64_t response_bytes,
                           const RequestLimits& limits);

/// All memory together; RESOURCE_EXHAUSTED likewise where it exceeds
/// max_queued_bytes.
absl::StatusOr<std::int64_t> CheckMemory(const RequestBudget& budget,
                                         const RequestLimits& limits);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_REQUEST_BUDGET_H_
