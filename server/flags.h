#ifndef GROUPNORM_SERVER_FLAGS_H_
#define GROUPNORM_SERVER_FLAGS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/options.h"

namespace groupnorm {

/// What the command line and the environment of groupnorm-server say.
struct Flags {
  ServerOptions server;
  std::string log_level = "info";

  /// Text to print instead of serving, for --help and --version.
  std::optional<std::string> print;
};

/// Reads the command line; what it does not give, from the environment
/// (`--max-message-bytes` is `GROUPNORM_MAX_MESSAGE_BYTES`). INVALID_ARGUMENT
/// names the flag, its value and what was expected.
absl::StatusOr<Flags> ParseFlags(int argc, const char* const* argv);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_FLAGS_H_
