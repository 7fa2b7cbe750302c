#include "server/options.h"

#include <sched.h>

#include <algorithm>
#include <limits>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/cgroup.h"
#include "server/listen_address.h"

namespace groupnorm {
namespace {

// More threads than any machine has CPUs: a larger number is a mistake.
constexpr int kMaxWorkers = 4096;

// Bodies that are received at the same time, for each worker, unless the option
// says otherwise: while one is computed, the next one arrives.
constexpr int kReadingPerWorker = 2;

absl::Status CheckRange(const char* flag, std::int64_t value, std::int64_t low,
                        std::int64_t high) {
  if (low <= value && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": ", value, ", expected ", low, " to ", high));
}

absl::Status CheckTimeout(const char* flag, absl::Duration timeout) {
  if (timeout > absl::ZeroDuration() && timeout < absl::InfiniteDuration()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": ", absl::FormatDuration(timeout),
                   ", expected a time above 0s and below inf"));
}

// Settings, each within its range, that make no sense beside each other.
absl::Status CheckRelations(const ServerOptions& options) {
  if (options.max_reading_calls > options.max_queued_calls) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--max-reading-calls: ", options.max_reading_calls,
        ", expected at most the ", options.max_queued_calls,
        " of --max-queued-calls, since only calls that were admitted are "
        "read"));
  }
  const std::int64_t largest = 2 * options.max_message_bytes;
  if (options.max_queued_bytes < largest) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--max-queued-bytes: ", options.max_queued_bytes,
        ", expected at least ", largest,
        ", the input and the output of a message of the ",
        options.max_message_bytes, " bytes of --max-message-bytes"));
  }
  return absl::OkStatus();
}

absl::Status CheckFinite(const char* flag, absl::Duration duration) {
  if (absl::ZeroDuration() <= duration && duration < absl::InfiniteDuration()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      flag, ": ", absl::FormatDuration(duration), ", expected 0s or more"));
}

absl::Status CheckListen(const ServerOptions& options) {
  if (options.listen.empty()) {
    return absl::InvalidArgumentError(
        "--listen: missing, expected host:port or unix:path");
  }
  for (const std::string& text : options.listen) {
    const absl::StatusOr<ListenAddress> address = ListenAddress::Parse(text);
    if (!address.ok()) return address.status();
    if (!address->is_local() && !options.insecure) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--listen: '", text,
          "' can be reached from other machines, expected a loopback address "
          "or unix:path; --insecure allows it without encryption"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status Validate(const ServerOptions& options) {
  constexpr std::int64_t kMaxInt = std::numeric_limits<std::int32_t>::max();
  absl::Status status = CheckListen(options);
  status.Update(CheckRange("--workers", options.workers, 0, kMaxWorkers));
  // gRPC and protobuf both count the bytes of a message in 31 bits.
  status.Update(
      CheckRange("--max-message-bytes", options.max_message_bytes, 1, kMaxInt));
  status.Update(
      CheckRange("--max-queued-calls", options.max_queued_calls, 1, kMaxInt));
  status.Update(CheckRange("--max-queued-bytes", options.max_queued_bytes, 1,
                           std::numeric_limits<std::int64_t>::max()));
  status.Update(
      CheckRange("--max-reading-calls", options.max_reading_calls, 0, kMaxInt));
  if (status.ok()) status = CheckRelations(options);
  status.Update(CheckTimeout("--read-timeout", options.read_timeout));
  status.Update(CheckTimeout("--write-timeout", options.write_timeout));
  status.Update(CheckFinite("--drain-delay", options.drain_delay));
  status.Update(CheckFinite("--drain-timeout", options.drain_timeout));
  if (options.max_connection_age < absl::Milliseconds(1)) {
    status.Update(absl::InvalidArgumentError(
        absl::StrCat("--max-connection-age: ",
                     absl::FormatDuration(options.max_connection_age),
                     ", expected 1ms or more, or inf")));
  }
  return status;
}

ServerOptions WithDefaults(ServerOptions options) {
  if (options.workers == 0) options.workers = UsableCpus();
  if (options.max_reading_calls == 0) {
    options.max_reading_calls =
        std::min(kReadingPerWorker * options.workers, options.max_queued_calls);
  }
  return options;
}

int UsableCpus() {
  cpu_set_t affinity;
  CPU_ZERO(&affinity);
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
  if (::sched_getaffinity(0, sizeof(affinity), &affinity) == 0) {
    cpus = CPU_COUNT(&affinity);
  }
  return std::max(1, std::min(cpus, CgroupCpuQuota("/").value_or(cpus)));
}

}  // namespace groupnorm
