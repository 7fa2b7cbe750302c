#include "client/cli/completion/program.h"

#include <CLI/Option.hpp>
#include <algorithm>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/flag_checks.h"
#include "client/cli/operands.h"

namespace groupnorm::completion {

namespace {

/// Without what follows the first stop or semicolon, in one line.
std::string FirstSentence(const std::string& text) {
  const std::string line = absl::StrReplaceAll(text, {{"\n", " "}});
  const std::size_t end = std::min(line.find(". "), line.find("; "));
  return line.substr(0, end);
}

Value ValueOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  return {.name = type,
          .is_file = type == cli::kFileType,
          .choices = cli::ChoicesOf(option)};
}

Flag FlagOf(const CLI::Option& option) {
  Flag flag;
  for (const std::string& name : option.get_snames()) {
    flag.names.push_back(absl::StrCat("-", name));
  }
  for (const std::string& name : option.get_lnames()) {
    flag.names.push_back(absl::StrCat("--", name));
  }
  flag.help = FirstSentence(option.get_description());
  flag.takes_value = option.get_items_expected_max() > 0;
  flag.repeats = option.get_items_expected_max() > 1;
  if (flag.takes_value) flag.value = ValueOf(option);
  return flag;
}

std::vector<Flag> FlagsOf(const CLI::App& app) {
  std::vector<Flag> flags;
  for (const CLI::Option* const option : app.get_options()) {
    if (option->nonpositional()) flags.push_back(FlagOf(*option));
  }
  return flags;
}

}  // namespace

Program Describe(const CLI::App& app) {
  Program program{
      .name = app.get_name(), .flags = FlagsOf(app), .commands = {}};
  for (const CLI::App* const each :
       app.get_subcommands([](const CLI::App*) { return true; })) {
    Command command{.name = each->get_name(),
                    .help = FirstSentence(each->get_description()),
                    .flags = FlagsOf(*each),
                    .operands = {}};
    for (const CLI::Option* const option : each->get_options()) {
      if (!option->get_positional()) continue;
      Value operand = ValueOf(*option);
      operand.name = option->get_single_name();
      command.operands.push_back(operand);
    }
    program.commands.push_back(command);
  }
  return program;
}

}  // namespace groupnorm::completion
