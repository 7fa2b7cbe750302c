#ifndef GROUPNORM_CLIENT_CLI_CLIENT_SESSION_H_
#define GROUPNORM_CLIENT_CLI_CLIENT_SESSION_H_

#include <CLI/App.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/embedded_server.h"
#include "client/cli/outcome.h"
#include "groupnorm/client.h"

namespace groupnorm::cli {

/// Where the calls of a command go, and how long each may take.
struct ConnectionFlags {
  std::string server;     ///< Empty: a server within this process.
  bool embedded = false;  ///< The same, because the user said so.
  absl::Duration timeout = absl::Seconds(60);
  /// With the library's waits in between about three seconds: enough for a
  /// server that restarts, and not long for a wrong address.
  int max_attempts = 10;
};

/// Adds --server (or GROUPNORM_SERVER) and --timeout to a command.
/// `default_server` is what happens without --server, for the help text.
void AddConnectionFlags(CLI::App& command, ConnectionFlags& flags,
                        const std::string& default_server);

/// A duration as the flags take it: positive, finite, with its unit. Throws
/// CLI::ValidationError, which names the flag.
absl::Duration ParseDuration(const std::string& flag, const std::string& text);

/// `default_server` of the commands that compute without a server.
extern const char kEmbeddedByDefault[];

/// A client for the length of one command, with the server within this process
/// that it needs where no other was named. Move-only.
class ClientSession {
 public:
  /// Starts the server within this process where the flags want it, and says so
  /// in one line on stderr where that is the default. Does not connect yet.
  static absl::StatusOr<ClientSession> Open(const ConnectionFlags& flags);

  /// What is done while a call with these bytes has no answer, for an
  /// ActivityLine.
  std::string WaitingText(std::size_t bytes) const;

  Client& client() { return *client_; }
  const std::string& address() const { return address_; }

 private:
  ClientSession() = default;

  std::string address_;
  // The client goes first, so that the server need not wait for it.
  std::unique_ptr<EmbeddedServer> server_;
  std::unique_ptr<Client> client_;
};

/// The outcome of a failed ClientSession::Open.
Outcome OpenFailure(const absl::Status& status);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_CLIENT_SESSION_H_
