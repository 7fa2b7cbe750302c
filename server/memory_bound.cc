#include "server/memory_bound.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/cgroup.h"

namespace groupnorm {
namespace {

// How many connections are counted. Further ones are served as well, at the
// same cost each.
constexpr std::int64_t kConnections = 1024;

// The program with its libraries, and what each worker has: a stack, and an
// arena of the allocator with what is too small to be counted.
constexpr std::int64_t kProgramBytes = std::int64_t{48} << 20;
constexpr std::int64_t kWorkerBytes = std::int64_t{1} << 20;

// Sums of non-negative numbers of 31 and 63 bits.
class Sum {
 public:
  Sum& Add(std::int64_t count, std::int64_t bytes) {
    std::int64_t product = 0;
    if (__builtin_mul_overflow(count, bytes, &product) ||
        __builtin_add_overflow(sum_, product, &sum_)) {
      sum_ = std::numeric_limits<std::int64_t>::max();
    }
    return *this;
  }
  std::int64_t value() const { return sum_; }

 private:
  std::int64_t sum_ = 0;
};

std::string Size(std::int64_t bytes) {
  const double mebibytes = std::ceil(static_cast<double>(bytes) / (1 << 20));
  if (mebibytes < 1024) return absl::StrFormat("%.0f MiB", mebibytes);
  return absl::StrFormat("%.1f GiB", mebibytes / 1024);
}

}  // namespace

std::int64_t MemoryBound::total() const {
  return Sum()
      .Add(1, transport)
      .Add(1, kept)
      .Add(1, queued)
      .Add(1, idle)
      .Add(1, fixed)
      .value();
}

MemoryBound MemoryBoundOf(const ServerOptions& options) {
  const std::int64_t body = options.max_message_bytes + kLookaheadBytes;
  const std::int64_t reading =
      Sum().Add(options.max_reading_calls, body).value();
  return {.transport = Sum()
                           .Add(1, reading)
                           .Add(options.max_queued_calls,
                                kLookaheadBytes + kCallOverheadBytes)
                           .Add(kMaxChecks + kMaxReflections,
                                kLookaheadBytes + kCallOverheadBytes)
                           .Add(kMaxWatches, kWatchOverheadBytes)
                           .Add(kConnections, kConnectionOverheadBytes)
                           .Add(1, options.max_message_bytes)
                           .value(),
          .kept = Sum().Add(kReceivingThreads - 1, reading).value(),
          .queued = options.max_queued_bytes,
          .idle = kIdleMessages * options.max_message_bytes,
          .fixed = Sum()
                       .Add(1, kProgramBytes)
                       .Add(options.workers, kWorkerBytes)
                       .value()};
}

std::string DescribeMemoryBound(const MemoryBound& bound) {
  return absl::StrCat(
      "at most ", Size(bound.total()), ": ", Size(bound.transport),
      " to receive requests, ", Size(bound.queued), " to compute them, ",
      Size(bound.idle), " kept for the next ones, ", Size(bound.kept),
      " kept by the allocator, ", Size(bound.fixed), " for the program");
}

std::int64_t UsableMemoryBytes() {
  const std::int64_t machine = std::int64_t{::sysconf(_SC_PHYS_PAGES)} *
                               std::int64_t{::sysconf(_SC_PAGESIZE)};
  return std::min(machine, CgroupMemoryLimit("/").value_or(machine));
}

std::string MemoryWarning(const MemoryBound& bound, std::int64_t usable_bytes) {
  if (bound.total() <= usable_bytes) return "";
  return absl::StrCat("the settings allow ", Size(bound.total()),
                      ", this process may use ", Size(usable_bytes),
                      "; lower --max-message-bytes, --max-queued-bytes or "
                      "--max-reading-calls");
}

}  // namespace groupnorm
