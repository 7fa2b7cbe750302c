#ifndef GROUPNORM_CLIENT_CLI_BACKWARD_COMMAND_H_
#define GROUPNORM_CLIENT_CLI_BACKWARD_COMMAND_H_

#include <CLI/App.hpp>

#include "client/cli/outcome.h"

namespace groupnorm::cli {

/// Adds `groupnorm backward`, in the way of AddStatusCommand.
void AddBackwardCommand(CLI::App& app, Outcome& outcome);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_BACKWARD_COMMAND_H_
