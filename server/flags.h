#ifndef GROUPNORM_SERVER_FLAGS_H_
#define GROUPNORM_SERVER_FLAGS_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/options.h"

namespace groupnorm {

/// What the command line, the environment and the configuration file of
/// groupnorm-server say.
struct Flags {
  ServerOptions server;
  std::string log_level = "info";

  /// Text to print instead of serving, for --help, --version, --check-config
  /// and --print-config.
  std::optional<std::string> print;
};

/// Reads the command line; what it does not give, from the environment
/// (`--max-message-bytes` is `GROUPNORM_MAX_MESSAGE_BYTES`); what neither
/// gives, from the file of `--config` (`max-message-bytes = 1GiB`).
/// INVALID_ARGUMENT names the value, what was expected, and who gave it: the
/// flag, the variable, or the file and the line. A variable that is empty
/// counts as not set.
absl::StatusOr<Flags> ParseFlags(int argc, const char* const* argv);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_FLAGS_H_
