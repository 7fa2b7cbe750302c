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

  /// Memory that all requests together may make the server allocate: gathered
  /// tensors, results and scratch. A request whose share is not free waits for
  /// it; one that needs more than all of it is refused.
  std::int64_t max_queued_bytes = std::int64_t{2} << 30;

  /// Calls whose bodies are received at the same time. 0: twice the workers, at
  /// most max_queued_calls.
  int max_reading_calls = 0;

  /// How long a request may take to arrive once it is read. The largest message
  /// of the default size then comes over a line of 100 Mbit/s.
  absl::Duration read_timeout = absl::Seconds(30);

  /// How long a caller may take to receive its response.
  absl::Duration write_timeout = absl::Seconds(30);

  // Ending.

  /// How long a drain says that the server is about to go, and still answers,
  /// before it refuses new calls. Clients that watch its health hear of it
  /// within a round trip, so the default is enough for them; balancers that
  /// probe or are told by others need longer. 0: no time at all.
  absl::Duration drain_delay = absl::Seconds(1);

  /// How long a drain then waits for calls in flight before it cancels them.
  /// With the delay, less than the 30 s after which orchestrators kill a
  /// process that they stop.
  absl::Duration drain_timeout = absl::Seconds(25);

  /// How old a connection gets, give or take a tenth, before its client is
  /// asked to open a new one; calls in flight are answered on the old one.
  /// Clients look up the servers' addresses only when they connect. Infinite,
  /// the default, suits clients that keep to one server; reconnecting costs
  /// others some round trips.
  absl::Duration max_connection_age = absl::InfiniteDuration();
};

/// INVALID_ARGUMENT that names the flag, its value and what was expected.
absl::Status Validate(const ServerOptions& options);

/// The same settings with what was left to the server chosen: workers and
/// max_reading_calls.
ServerOptions WithDefaults(ServerOptions options);

/// CPUs that this process may use: its affinity, lowered to the cgroup's quota;
/// at least 1.
int UsableCpus();

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_OPTIONS_H_
