#ifndef GROUPNORM_CLIENT_CLI_EMBEDDED_SERVER_H_
#define GROUPNORM_CLIENT_CLI_EMBEDDED_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/cli/files/leftover.h"
#include "server/server.h"

namespace groupnorm::cli {

/// The server library within this process, for this process alone: on a UNIX
/// socket in a temporary directory that only this user may enter. Not
/// thread-safe.
class EmbeddedServer {
 public:
  /// Creates the directory (in $TMPDIR, or /tmp) and starts. Fails with the
  /// code and text of what went wrong.
  static absl::StatusOr<std::unique_ptr<EmbeddedServer>> Start();

  /// Stops the server and removes the directory.
  ~EmbeddedServer();

  EmbeddedServer(const EmbeddedServer&) = delete;
  EmbeddedServer& operator=(const EmbeddedServer&) = delete;

  /// `unix:path`.
  const std::string& address() const { return address_; }

 private:
  explicit EmbeddedServer(std::string directory);

  std::string directory_;
  std::string address_;
  Leftover directory_leftover_;
  Leftover socket_leftover_;
  std::unique_ptr<Server> server_;
};

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_EMBEDDED_SERVER_H_
