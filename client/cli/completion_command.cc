#include "client/cli/completion_command.h"

#include <cstdio>
#include <memory>
#include <string>

#include "client/cli/completion/program.h"
#include "client/cli/flag_checks.h"

namespace groupnorm::cli {

void AddCompletionCommand(CLI::App& app, Outcome& outcome) {
  CLI::App* const command = app.add_subcommand(
      "completion",
      "Prints a script that completes commands, flags and their values");
  command->footer(
      "Examples, for this shell; in its start-up file for every one:\n"
      "  source <(groupnorm completion bash)     # ~/.bashrc\n"
      "  source <(groupnorm completion zsh)      # ~/.zshrc, after compinit\n"
      "  groupnorm completion fish | source      # ~/.config/fish/config.fish");
  const auto shell = std::make_shared<std::string>();
  OneOf(*command->add_option("SHELL", *shell, "Shell that the script is for")
             ->required(),
        {"bash", "zsh", "fish"});
  command->callback([shell, &app, &outcome] {
    const completion::Program program = completion::Describe(app);
    const std::string script = *shell == "zsh" ? completion::ZshScript(program)
                               : *shell == "fish"
                                   ? completion::FishScript(program)
                                   : completion::BashScript(program);
    std::fputs(script.c_str(), stdout);
    outcome = {};
  });
}

}  // namespace groupnorm::cli
