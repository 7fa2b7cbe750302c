#ifndef GROUPNORM_CLIENT_CLI_VERIFY_COMMAND_H_
#define GROUPNORM_CLIENT_CLI_VERIFY_COMMAND_H_

#include <CLI/App.hpp>

#include "client/cli/outcome.h"
#include "client/cli/verify/report.h"

namespace groupnorm::cli {

/// Adds `groupnorm verify`. Where it is the command that the user gave, it runs
/// while `app` parses, and leaves how it ended in `outcome`, which must outlive
/// that.
void AddVerifyCommand(CLI::App& app, Outcome& outcome);

/// How a verification that found this ends: kExcess where a number is beyond
/// its bound.
Outcome OutcomeOf(const verify::Report& report);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_VERIFY_COMMAND_H_
