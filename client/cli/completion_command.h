#ifndef GROUPNORM_CLIENT_CLI_COMPLETION_COMMAND_H_
#define GROUPNORM_CLIENT_CLI_COMPLETION_COMMAND_H_

#include <CLI/App.hpp>

#include "client/cli/outcome.h"

namespace groupnorm::cli {

/// Adds `groupnorm completion`, in the way of AddStatusCommand. What it prints
/// knows the commands and flags that `app` has when it runs.
void AddCompletionCommand(CLI::App& app, Outcome& outcome);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_COMPLETION_COMMAND_H_
