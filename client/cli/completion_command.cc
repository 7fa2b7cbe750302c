#include "client/cli/completion_command.h"

#include <CLI/Option.hpp>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/operands.h"

namespace groupnorm::cli {

namespace {

std::string FlagsOf(const CLI::App& command) {
  std::vector<std::string> flags;
  for (const CLI::Option* const option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      flags.push_back(absl::StrCat("--", name));
    }
  }
  return absl::StrJoin(flags, " ");
}

/// Commands and flags are completed here, everything else as files are.
std::string BashScript(const CLI::App& app) {
  std::vector<std::string> names;
  std::string cases;
  for (const CLI::App* const command :
       app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
    absl::StrAppend(&cases, "    ", command->get_name(), ") words='",
                    FlagsOf(*command), "' ;;\n");
  }
  return absl::StrCat(
      "_groupnorm() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} words=\n"
      "  COMPREPLY=()\n"
      "  ((COMP_CWORD == 1)) || [[ $word == -* ]] || return 0\n"
      "  case $((COMP_CWORD == 1)):${COMP_WORDS[1]} in\n"
      "    1:*) words='",
      absl::StrJoin(names, " "), " ", FlagsOf(app), "' ;;\n",
      absl::StrReplaceAll(cases, {{"    ", "    0:"}}),
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
      "}\n"
      "complete -o default -F _groupnorm groupnorm\n");
}

}  // namespace

void AddCompletionCommand(CLI::App& app, Outcome& outcome) {
  CLI::App* const command = app.add_subcommand(
      "completion", "Prints a script that completes commands and flags");
  command->footer(
      "Example, for this shell; in ~/.bashrc for every one:\n"
      "  source <(groupnorm completion bash)");
  const auto shell = std::make_shared<std::string>();
  command->add_option("SHELL", *shell, "bash")
      ->type_name("SHELL")
      ->check(OneOf({"bash"}))
      ->required();
  command->callback([shell, &app, &outcome] {
    std::fputs(BashScript(app).c_str(), stdout);
    outcome = {};
  });
}

}  // namespace groupnorm::cli
