#include "server/request_budget.h"

#include <limits>

#include "absl/strings/str_cat.h"

namespace groupnorm {

void RequestBudget::Add(std::int64_t count, std::int64_t element_bytes) {
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(count, element_bytes, &bytes) ||
      __builtin_add_overflow(bytes_, bytes, &bytes_)) {
    bytes_ = std::numeric_limits<std::int64_t>::max();
  }
}

absl::Status CheckLimits(std::int64_t response_bytes,
                         const RequestBudget& budget,
                         const RequestLimits& limits) {
  if (response_bytes > limits.max_message_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("response: needs ", response_bytes, " bytes, limit ",
                     limits.max_message_bytes, " (--max-message-bytes)"));
  }
  if (budget.bytes() > limits.max_queued_bytes) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "request: needs ", budget.bytes(), " bytes of memory, limit ",
        limits.max_queued_bytes, " (--max-queued-bytes)"));
  }
  return absl::OkStatus();
}

}  // namespace groupnorm
