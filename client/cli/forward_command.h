#ifndef GROUPNORM_CLIENT_CLI_FORWARD_COMMAND_H_
#define GROUPNORM_CLIENT_CLI_FORWARD_COMMAND_H_

#include <CLI/App.hpp>

#include "client/cli/outcome.h"

namespace groupnorm::cli {

/// Adds `groupnorm forward`, in the way of AddStatusCommand.
void AddForwardCommand(CLI::App& app, Outcome& outcome);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_FORWARD_COMMAND_H_
