#ifndef GROUPNORM_CLIENT_SERVER_PROBE_H_
#define GROUPNORM_CLIENT_SERVER_PROBE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "groupnorm/client.h"

namespace groupnorm {

/// How a server answers for itself.
struct ServerAnswer {
  std::string health;  ///< Of groupnorm.v1.GroupNormService, as in "SERVING".
  ServerInfo info;
};

/// Asks a server for its health and what it is. Unlike a Client, whose calls
/// avoid a server that is not serving, and which tries again. Not thread-safe.
class ServerProbe {
 public:
  /// `address` as of ClientOptions, and valid. Does not connect yet.
  explicit ServerProbe(const std::string& address);
  ~ServerProbe();

  ServerProbe(const ServerProbe&) = delete;
  ServerProbe& operator=(const ServerProbe&) = delete;

  /// Asks for its health and for what it is, both within `timeout`. Fails in
  /// the words of the client library.
  absl::StatusOr<ServerAnswer> Ask(absl::Duration timeout);

  /// Passes the health on, at once and whenever it changes, until the server
  /// ends that, is lost, or `next` returns false. The status says why, OK where
  /// it was `next`. No time bounds it.
  absl::Status Watch(const std::function<bool(const std::string&)>& next);

 private:
  struct Stubs;
  const std::string address_;
  const std::unique_ptr<Stubs> stubs_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_CLIENT_SERVER_PROBE_H_
