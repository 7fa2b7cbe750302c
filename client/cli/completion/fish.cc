#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/completion/program.h"

namespace groupnorm::completion {

namespace {

std::string Quoted(const std::string& text) {
  return absl::StrCat(
      "'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

/// The words of `complete` that say what stands for a value.
std::string Completing(const Value& value) {
  if (value.is_file) return " -r -F";
  if (value.choices.empty()) return " -x";
  return absl::StrCat(" -x -a ", Quoted(absl::StrJoin(value.choices, " ")));
}

void AddFlags(std::string& script, const std::string& start,
              const std::vector<Flag>& flags) {
  for (const Flag& flag : flags) {
    absl::StrAppend(&script, start);
    for (const std::string& name : flag.names) {
      const bool is_long = name.substr(0, 2) == "--";
      absl::StrAppend(&script, is_long ? " -l " : " -s ",
                      name.substr(is_long ? 2 : 1));
    }
    absl::StrAppend(&script, flag.takes_value ? Completing(flag.value) : "",
                    " -d ", Quoted(flag.help), "\n");
  }
}

}  // namespace

std::string FishScript(const Program& program) {
  const std::string start = absl::StrCat("complete -c ", program.name, " -n ");
  const std::string no_command = absl::StrCat(start, "__fish_use_subcommand");
  std::string script;
  AddFlags(script, no_command, program.flags);
  for (const Command& command : program.commands) {
    absl::StrAppend(&script, no_command, " -f -a ", command.name, " -d ",
                    Quoted(command.help), "\n");
    // Its name may come again as a value, as in `bench --operation forward`.
    const std::string in_command = absl::StrCat(
        start, Quoted(absl::StrCat("contains ", command.name,
                                   " (commandline --cut-at-cursor --tokenize "
                                   "--current-process)[2]")));
    AddFlags(script, in_command, command.flags);
    // Files are completed anyway, unless this says that there are none.
    if (command.operands.empty()) {
      absl::StrAppend(&script, in_command, " -f\n");
    } else if (!command.operands[0].is_file) {
      absl::StrAppend(&script, in_command, Completing(command.operands[0]),
                      "\n");
    }
  }
  return script;
}

}  // namespace groupnorm::completion
