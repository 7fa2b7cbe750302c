#include "client/cli/outcome.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace groupnorm::cli {

const char kExitCodesHelp[] =
    "Exit codes:\n"
    "  0  success\n"
    "  1  verify found a number beyond its bound\n"
    "  2  the command line is wrong\n"
    "  3  a file cannot be read, written or held in memory\n"
    "  4  the server refused the request, or its answer is wrong\n"
    "  5  no server answered, or it was too busy, too slow or not serving:\n"
    "     try again\n";

Outcome FileFailure(const absl::Status& status) {
  return {ExitCode::kFile, std::string(status.message())};
}

Outcome CallFailure(const absl::Status& status) {
  const std::string text(status.message());
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      // The client's words for a server that was not reached; others are those
      // of a server that is there, and say what it lacks.
      // verify puts the cell before either.
      if (!absl::StrContains(text, "no answer from")) {
        return {ExitCode::kNoAnswer, absl::StrCat(text, " (try again later)")};
      }
      return {ExitCode::kNoAnswer,
              absl::StrCat(text,
                           " (is groupnorm-server running there? --server "
                           "names another address)")};
    case absl::StatusCode::kDeadlineExceeded:
      return {ExitCode::kNoAnswer,
              absl::StrCat(text, " (--timeout allows more)")};
    default:
      return {
          ExitCode::kRefused,
          absl::StrCat(absl::StatusCodeToString(status.code()), ": ", text)};
  }
}

}  // namespace groupnorm::cli
