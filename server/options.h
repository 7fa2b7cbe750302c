#ifndef GROUPNORM_SERVER_OPTIONS_H_
#define GROUPNORM_SERVER_OPTIONS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace groupnorm {

/// Settings of a Server. Each field is the flag of the same name.
struct ServerOptions {
  /// Addresses to listen on: `host:port` (port 0: any free one) or `unix:path`.
  std::vector<std::string> listen = {"127.0.0.1:50051"};

  /// Allows plaintext on an address that is neither loopback nor a UNIX socket.
  bool insecure = false;

  // Parameters that affect performance.

  /// Threads that compute. 0: the CPUs that this process may use.
  int workers = 0;

  // Bounds.

  /// Largest request and largest response, in bytes of the encoded message.
  std::int64_t max_message_bytes = std::int64_t{256} << 20;

  /// Calls that are admitted and not yet answered; further ones are shed with
  /// UNAVAILABLE before their body is read.
  int max_queued_calls = 256;

  /// Memory that one request may make the server allocate: gathered tensors,
  /// results and scratch.
  std::int64_t max_queued_bytes = std::int64_t{2} << 30;

  /// Calls whose bodies are received at the same time. 0: twice the workers.
  int max_reading_calls = 0;

  /// How long a drain waits for calls in flight before it cancels them. Less
  /// than the 30 s after which orchestrators kill a process that they stop.
  absl::Duration drain_timeout = absl::Seconds(25);
};

/// INVALID_ARGUMENT that names the flag, its value and what was expected.
absl::Status Validate(const ServerOptions& options);

/// CPUs that this process may use: its affinity, lowered to the cgroup's quota;
/// at least 1.
int UsableCpus();

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_OPTIONS_H_
