#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <CLI/Option.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/backward_command.h"
#include "client/cli/bench_command.h"
#include "client/cli/completion_command.h"
#include "client/cli/files/leftover.h"
#include "client/cli/forward_command.h"
#include "client/cli/outcome.h"
#include "client/cli/status_command.h"
#include "client/cli/verify_command.h"
#include "groupnorm/tune_process_memory.h"
#include "server/flag_without_value.h"
#include "server/grpc_log.h"
#include "server/help_text.h"
#include "server/standard_streams.h"

namespace {

using groupnorm::cli::ExitCode;
using groupnorm::cli::Outcome;

/// Breaks the texts of flags into lines.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_desc(const CLI::Option* option) const override {
    return groupnorm::WrapHelp(option->get_description());
  }
};

/// Prints the one line that a failure gets.
int Finish(Outcome outcome) {
  // Before that line, and it may fail only now: the disk may be full.
  errno = 0;
  const bool flushed = std::fflush(stdout) == 0;
  const int code = errno;
  // What did not fit into the buffer may have failed before.
  if ((!flushed || std::ferror(stdout) != 0) && outcome.code == ExitCode::kOk) {
    outcome = {ExitCode::kFile, absl::StrCat("standard output: ",
                                             code != 0 ? std::strerror(code)
                                                       : "cannot be written")};
  }
  if (!outcome.message.empty()) {
    std::replace(outcome.message.begin(), outcome.message.end(), '\n', ' ');
    std::fprintf(stderr, "groupnorm: %s\n", outcome.message.c_str());
  }
  return static_cast<int>(outcome.code);
}

/// What is wrong with the command line, and which --help says more.
std::string UsageText(const CLI::App& app, int argc, char** argv,
                      const CLI::ParseError& error) {
  const std::vector<CLI::App*> given = app.get_subcommands();
  if (!given.empty()) {
    // A flag that was mistyped may be the one that is missing.
    const std::vector<std::string> unknown = given[0]->remaining();
    const auto mistyped = std::find_if(
        unknown.begin(), unknown.end(),
        [](const std::string& word) { return absl::StartsWith(word, "-"); });
    const bool lacks = error.get_name() == "RequiredError" ||
                       error.get_name() == "RequiresError";
    return absl::StrCat(
        lacks && mistyped != unknown.end() ? *mistyped + ": not a flag; " : "",
        error.what(), " (groupnorm ", given[0]->get_name(),
        " --help lists what there is)");
  }
  std::vector<std::string> names;
  for (const CLI::App* const command :
       app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return absl::StrCat(
      argc > 1 ? absl::StrCat(argv[1], ": not a command") : "no command",
      ", expected one of ", absl::StrJoin(names, ", "),
      " (groupnorm --help says more)");
}

Outcome Run(int argc, char** argv) {
  CLI::App app(
      "Group Normalization by a groupnorm server, or within this process.",
      "groupnorm");
  app.set_version_flag("--version", "groupnorm " GROUPNORM_VERSION);
  app.formatter(std::make_shared<HelpFormatter>());  // Of the commands as well.
  app.require_subcommand(1);
  app.footer(
      absl::StrCat("Example, of a tensor with 32 groups of channels:\n"
                   "  groupnorm forward x.npy --num-groups 32 -o y.npy\n"
                   "groupnorm COMMAND --help says what a command takes.\n\n",
                   groupnorm::cli::kExitCodesHelp));
  if (const std::string flag = groupnorm::FlagWithoutValue(argc, argv);
      !flag.empty()) {
    return {ExitCode::kUsage, flag + ": \"\", expected a value"};
  }
  Outcome outcome;
  groupnorm::cli::AddForwardCommand(app, outcome);
  groupnorm::cli::AddBackwardCommand(app, outcome);
  groupnorm::cli::AddVerifyCommand(app, outcome);
  groupnorm::cli::AddStatusCommand(app, outcome);
  groupnorm::cli::AddBenchCommand(app, outcome);
  groupnorm::cli::AddCompletionCommand(app, outcome);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& help) {
    app.exit(help);
  } catch (const CLI::ParseError& error) {
    return {ExitCode::kUsage, UsageText(app, argc, argv, error)};
  } catch (const std::bad_alloc&) {
    return {ExitCode::kFile, "the tensors do not fit into memory"};
  }
  return outcome;
}

}  // namespace

int main(int argc, char** argv) {
  groupnorm::ReserveStandardStreams();
  groupnorm::LogGrpcAtDebug();  // Below the level that is shown.
  groupnorm::TuneProcessMemory();
  groupnorm::cli::RemoveLeftoversOnSignals();
  return Finish(Run(argc, argv));
}
