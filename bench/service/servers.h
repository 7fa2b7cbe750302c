#ifndef GROUPNORM_BENCH_SERVICE_SERVERS_H_
#define GROUPNORM_BENCH_SERVICE_SERVERS_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <functional>

namespace groupnorm::bench {

/// Servers to measure groupnorm-server beside. Each adds its service to
/// `builder`, starts, runs `on_started`, and serves Forward until the process
/// is killed.

/// How an echo spreads its work.
struct EchoLayout {
  int queues = 1;             ///< Completion queues.
  int threads_per_queue = 1;  ///< Threads that serve each of them.
};

/// What moving the bytes costs: registered as groupnorm-server registers
/// itself, it answers every request with its own bytes, cut or filled up to
/// `response_bytes`.
void ServeEcho(grpc::ServerBuilder& builder, const EchoLayout& layout,
               std::size_t response_bytes,
               const std::function<void()>& on_started);

/// Generated messages as people write them: a synchronous service.
void ServeGenerated(grpc::ServerBuilder& builder,
                    const std::function<void()>& on_started);

/// Generated messages as fast as they get: completion queues, and messages
/// whose memory is used again.
void ServeTuned(grpc::ServerBuilder& builder,
                const std::function<void()>& on_started);

}  // namespace groupnorm::bench

#endif  // GROUPNORM_BENCH_SERVICE_SERVERS_H_
