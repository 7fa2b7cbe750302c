#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/completion/program.h"

namespace groupnorm::completion {

namespace {

std::string NamesOf(const std::vector<Flag>& flags) {
  std::vector<std::string> names;
  for (const Flag& flag : flags) {
    names.insert(names.end(), flag.names.begin(), flag.names.end());
  }
  return absl::StrJoin(names, " ");
}

/// A line of a `case`: which words are completed.
void AddCase(std::string& cases, const std::string& pattern,
             const std::string& words) {
  absl::StrAppend(&cases, "    ", pattern, ") words='", words, "' ;;\n");
}

}  // namespace

std::string BashScript(const Program& program) {
  std::vector<std::string> first;
  std::string values, flags;
  for (const Command& command : program.commands) {
    first.push_back(command.name);
    AddCase(flags, command.name, NamesOf(command.flags));
    for (const Flag& flag : command.flags) {
      for (const std::string& name : flag.names) {
        if (flag.value.choices.empty()) continue;
        AddCase(values, absl::StrCat(command.name, ":", name),
                absl::StrJoin(flag.value.choices, " "));
      }
    }
    if (command.operands.empty() || command.operands[0].choices.empty()) {
      continue;
    }
    AddCase(values, absl::StrCat(command.name, ":", command.name),
            absl::StrJoin(command.operands[0].choices, " "));
  }
  first.push_back(NamesOf(program.flags));
  const std::string function = absl::StrCat("_", program.name);
  return absl::StrCat(
      function, "() {\n",
      "  local command=${COMP_WORDS[1]} word=${COMP_WORDS[COMP_CWORD]}\n"
      "  local before=${COMP_WORDS[COMP_CWORD - 1]} words=\n"
      "  COMPREPLY=()\n"
      "  if ((COMP_CWORD == 1)); then\n"
      "    COMPREPLY=($(compgen -W '",
      absl::StrJoin(first, " "),
      "' -- \"$word\"))\n"
      "    return 0\n"
      "  fi\n"
      "  # --flag=value comes as three words.\n"
      "  [[ $before != = ]] || before=${COMP_WORDS[COMP_CWORD - 2]}\n"
      "  [[ $word != = ]] || word=\n"
      "  case $command:$before in\n",
      values,
      "    # Files, which bash completes where there is nothing here.\n"
      "    *) [[ $word == -* ]] || return 0 ;;\n"
      "  esac\n"
      "  [[ $words ]] || case $command in\n",
      flags,
      "  esac\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
      "}\n"
      "complete -o default -F ",
      function, " ", program.name, "\n");
}

}  // namespace groupnorm::completion
