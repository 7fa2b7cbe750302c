#ifndef GROUPNORM_SERVER_SERVER_H_
#define GROUPNORM_SERVER_SERVER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/options.h"

namespace groupnorm {

/// A running GroupNorm service. Thread-safe.
class Server {
 public:
  /// Binds all addresses and starts to answer. Fails with INVALID_ARGUMENT on
  /// bad options and with UNAVAILABLE that names the address where one cannot
  /// be bound.
  static absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options);

  /// Drains with a delay and a timeout of zero, unless that has happened.
  ~Server();

  /// Where it listens, in the order of the options, with the real ports.
  const std::vector<std::string>& addresses() const;

  /// Calls that are admitted and not yet answered.
  int calls_in_flight() const;

  /// Says NOT_SERVING to who asks for or watches the health, and still answers
  /// for `drain_delay`. Then refuses new calls with UNAVAILABLE, ends streams
  /// that are open, waits until the calls in flight are answered, and stops;
  /// connections without a call are given a second to close. Calls that outlive
  /// `drain_timeout`, which begins after the delay, are cancelled.
  /// Returns true when all were answered. Later calls return the same at once.
  bool Drain();

  struct Impl;

 private:
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_SERVER_H_
