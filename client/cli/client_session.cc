#include "client/cli/client_session.h"

#include <CLI/Error.hpp>
#include <CLI/Option.hpp>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/address.h"

namespace groupnorm::cli {

absl::Duration ParseDuration(const std::string& flag, const std::string& text) {
  absl::Duration timeout;
  if (!absl::ParseDuration(text, &timeout) || timeout <= absl::ZeroDuration() ||
      timeout == absl::InfiniteDuration()) {
    throw CLI::ValidationError(
        flag,
        absl::StrCat(
            text, ", expected a positive duration with its unit, as in 60s"));
  }
  return timeout;
}

const char kEmbeddedByDefault[] = "Default: compute within this process";

void AddConnectionFlags(CLI::App& command, ConnectionFlags& flags,
                        const std::string& default_server) {
  command
      .add_option("--server", flags.server,
                  absl::StrCat("Server to call: host:port or unix:path, or "
                               "several IP addresses with ports, as in "
                               "10.0.0.1:50051,10.0.0.2:50051. ",
                               default_server))
      ->type_name("ADDRESS")
      ->check([](const std::string& address) {
        return std::string(ValidateAddress(address).message());
      })
      ->envname("GROUPNORM_SERVER");
  command
      .add_option_function<std::string>(
          "--timeout",
          [&flags](const std::string& text) {
            flags.timeout = ParseDuration("--timeout", text);
          },
          "Time that one call may take in all, with its unit: 500ms, 60s, 5m. "
          "Default: 60s")
      ->type_name("DURATION");
}

absl::StatusOr<ClientSession> ClientSession::Open(
    const ConnectionFlags& flags) {
  ClientSession session;
  session.address_ = flags.server;
  if (flags.server.empty() || flags.embedded) {
    absl::StatusOr<std::unique_ptr<EmbeddedServer>> server =
        EmbeddedServer::Start();
    if (!server.ok()) return server.status();
    session.server_ = *std::move(server);
    session.address_ = session.server_->address();
    if (!flags.embedded) {
      std::fprintf(stderr,
                   "groupnorm: neither --server nor GROUPNORM_SERVER given, "
                   "computing in this process\n");
    }
  }
  absl::StatusOr<std::unique_ptr<Client>> client =
      Client::Create({.address = session.address_,
                      .timeout = flags.timeout,
                      .retry = {.max_attempts = flags.max_attempts}});
  if (!client.ok()) return client.status();
  session.client_ = *std::move(client);
  return session;
}

std::string ClientSession::WaitingText(std::size_t bytes) const {
  const double mebibytes = static_cast<double>(bytes) / (1 << 20);
  return server_ != nullptr
             ? absl::StrFormat("computing with %.1f MiB", mebibytes)
             : absl::StrFormat("waiting for %s to answer %.1f MiB", address_,
                               mebibytes);
}

Outcome OpenFailure(const absl::Status& status) {
  // The flags were checked as they were parsed.
  return {ExitCode::kFile, absl::StrCat(std::string(status.message()),
                                        " (TMPDIR names another place for the "
                                        "own server's socket)")};
}

}  // namespace groupnorm::cli
