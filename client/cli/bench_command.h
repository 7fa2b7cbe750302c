#ifndef GROUPNORM_CLIENT_CLI_BENCH_COMMAND_H_
#define GROUPNORM_CLIENT_CLI_BENCH_COMMAND_H_

#include <CLI/App.hpp>

#include "client/cli/outcome.h"

namespace groupnorm::cli {

/// Adds `groupnorm bench`. Where it is the command that the user gave, it runs
/// while `app` parses, and leaves how it ended in `outcome`, which must outlive
/// that.
void AddBenchCommand(CLI::App& app, Outcome& outcome);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_BENCH_COMMAND_H_
