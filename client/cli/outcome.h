#ifndef GROUPNORM_CLIENT_CLI_OUTCOME_H_
#define GROUPNORM_CLIENT_CLI_OUTCOME_H_

#include <string>

#include "absl/status/status.h"

namespace groupnorm::cli {

/// The exit codes of `groupnorm`. Its --help explains them in the same order.
enum class ExitCode {
  kOk = 0,
  kExcess = 1,    ///< verify found a number beyond its bound.
  kUsage = 2,     ///< The command line is wrong.
  kFile = 3,      ///< A file cannot be read, written or held in memory.
  kRefused = 4,   ///< The server refused the request, or its answer is wrong.
  kNoAnswer = 5,  ///< No server reached, or too busy, too slow or ending.
};

/// The exit codes as --help lists them.
extern const char kExitCodesHelp[];

/// How a command ended: its exit code, and unless that is kOk, one line that
/// says what is wrong and what to do.
struct Outcome {
  ExitCode code = ExitCode::kOk;
  std::string message;
};

/// The outcome of a file that could not be used. Precondition: !status.ok().
Outcome FileFailure(const absl::Status& status);

/// The outcome of a call that the server, or nobody, answered with an error.
/// Precondition: !status.ok().
Outcome CallFailure(const absl::Status& status);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_OUTCOME_H_
