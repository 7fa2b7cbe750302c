#ifndef GROUPNORM_SERVER_MEMORY_BOUND_H_
#define GROUPNORM_SERVER_MEMORY_BOUND_H_

#include <cstdint>
#include <string>

#include "server/options.h"

namespace groupnorm {

/// Bytes of a call's body that may arrive before it is read. Small, since every
/// call that was admitted may have them; docs/adr/0011 has the measurements.
inline constexpr std::int64_t kLookaheadBytes = std::int64_t{64} << 10;

/// What a call costs beside its body: its own state and gRPC's, with the
/// largest metadata that gRPC lets through (8 KiB) in the forms in which it is
/// held.
inline constexpr std::int64_t kCallOverheadBytes = std::int64_t{64} << 10;

/// What an open watch costs: one of a client of gRPC, whose headers are small
/// and whose request has been read.
inline constexpr std::int64_t kWatchOverheadBytes = std::int64_t{32} << 10;

/// What a connection costs.
inline constexpr std::int64_t kConnectionOverheadBytes = std::int64_t{128}
                                                         << 10;

/// Buffers that nobody uses are kept up to this many times max_message_bytes:
/// the input and the output of the largest request.
inline constexpr std::int64_t kIdleMessages = 2;

/// Threads that receive requests. Each has an arena of the allocator, which
/// keeps what was freed in it.
inline constexpr int kReceivingThreads = 2;

/// Health watches that may be open. Every client that watches keeps one, so
/// this is a bound on clients: far more than such a server can serve.
inline constexpr int kMaxWatches = 4096;

/// Health checks whose request has not come yet. They are answered at once when
/// it has, so that only callers that mean harm fill this, for --read-timeout.
inline constexpr int kMaxChecks = 256;

/// Streams of reflection: people and tools that look at the services are few at
/// a time, and do not stay for long.
inline constexpr int kMaxReflections = 64;

/// The most memory that the settings allow the server to hold, in bytes:
///
///     transport = max_reading_calls x (max_message_bytes + lookahead)
///               + max_queued_calls x (lookahead + overhead of a call)
///               + (checks + reflection streams) x the same
///               + watches x overhead of a watch
///               + connections x overhead of a connection
///               + max_message_bytes
///     total     = transport + kept + queued + idle + fixed
///
/// docs/adr/0011 derives the terms. `transport` is the quota that gRPC gets, so
/// it bounds also what senders beyond the limits can make gRPC hold.
struct MemoryBound {
  std::int64_t transport = 0;  ///< gRPC: bodies as they arrive, connections.
  std::int64_t kept = 0;    ///< The bodies once more, for each further arena.
  std::int64_t queued = 0;  ///< Tensors, results and scratch of requests.
  std::int64_t idle = 0;    ///< Buffers kept for the next requests.
  std::int64_t fixed = 0;   ///< Program and threads.

  std::int64_t total() const;
};

/// The bound for settings that Validate() accepts and that have no defaults
/// left to choose. Saturates instead of overflowing.
MemoryBound MemoryBoundOf(const ServerOptions& options);

/// Memory in bytes that this process may use: the machine's, lowered to the
/// cgroup's limit.
std::int64_t UsableMemoryBytes();

/// A warning that names both figures and the options to lower, where the bound
/// is beyond `usable_bytes`; otherwise empty.
std::string MemoryWarning(const MemoryBound& bound, std::int64_t usable_bytes);

/// As in "at most 5.1 GiB: 1.6 GiB to receive requests, ...", each part rounded
/// up.
std::string DescribeMemoryBound(const MemoryBound& bound);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_MEMORY_BOUND_H_
