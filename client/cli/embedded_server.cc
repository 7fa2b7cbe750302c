#include "client/cli/embedded_server.h"

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace groupnorm::cli {

namespace {

std::string TemporaryRoot() {
  const char* const root = std::getenv("TMPDIR");
  return root != nullptr && *root != '\0' ? root : "/tmp";
}

/// Nobody else uses this server, so it has no reason to refuse what a message
/// can hold.
ServerOptions OptionsFor(const std::string& address) {
  ServerOptions options;
  options.listen = {address};
  options.max_message_bytes = std::numeric_limits<std::int32_t>::max();
  options.max_queued_bytes = std::int64_t{16} << 30;
  options.drain_delay = absl::ZeroDuration();
  options.drain_timeout = absl::ZeroDuration();
  return options;
}

}  // namespace

EmbeddedServer::EmbeddedServer(std::string directory)
    : directory_(std::move(directory)),
      address_(absl::StrCat("unix:", directory_, "/socket")),
      directory_leftover_(directory_),
      socket_leftover_(directory_ + "/socket") {}

absl::StatusOr<std::unique_ptr<EmbeddedServer>> EmbeddedServer::Start() {
  std::string directory = absl::StrCat(TemporaryRoot(), "/groupnorm-XXXXXX");
  if (mkdtemp(directory.data()) == nullptr) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("cannot create a directory in ", TemporaryRoot()));
  }
  std::unique_ptr<EmbeddedServer> embedded(
      new EmbeddedServer(std::move(directory)));
  absl::StatusOr<std::unique_ptr<Server>> server =
      Server::Start(OptionsFor(embedded->address()));
  if (!server.ok()) return server.status();
  embedded->server_ = *std::move(server);
  return embedded;
}

EmbeddedServer::~EmbeddedServer() {
  server_.reset();
  std::error_code ignored;  // What cannot be removed is not worth an error.
  std::filesystem::remove_all(directory_, ignored);
}

}  // namespace groupnorm::cli
