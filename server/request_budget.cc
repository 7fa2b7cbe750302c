#include "server/request_budget.h"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "absl/strings/str_cat.h"
#include "tensor/buffer_pool.h"

namespace groupnorm {
namespace {

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

// More than any machine has, and small enough to be rounded up.
constexpr std::int64_t kLargestBuffer = std::int64_t{1} << 62;

}  // namespace

void RequestBudget::Add(std::int64_t bytes) {
  if (__builtin_add_overflow(bytes_, bytes, &bytes_)) bytes_ = kMax;
}

void RequestBudget::AddBuffers(int buffers, std::int64_t count,
                               std::int64_t element_bytes) {
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(count, element_bytes, &bytes) ||
      bytes > kLargestBuffer) {
    bytes = kLargestBuffer;
  }
  const auto capacity = static_cast<std::int64_t>(
      BufferPool::CapacityFor(static_cast<std::size_t>(bytes)));
  for (int i = 0; i < buffers; ++i) Add(capacity);
}

absl::Status CheckResponse(std::int64_t response_bytes,
                           const RequestLimits& limits) {
  if (response_bytes <= limits.max_message_bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("response: needs ", response_bytes, " bytes, limit ",
                   limits.max_message_bytes, " (--max-message-bytes)"));
}

absl::StatusOr<std::int64_t> CheckMemory(const RequestBudget& budget,
                                         const RequestLimits& limits) {
  if (budget.bytes() <= limits.max_queued_bytes) return budget.bytes();
  return absl::ResourceExhaustedError(absl::StrCat(
      "request: needs ", budget.bytes(), " bytes of memory, limit ",
      limits.max_queued_bytes, " (--max-queued-bytes)"));
}

}  // namespace groupnorm
