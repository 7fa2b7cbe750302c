#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/completion/program.h"

namespace groupnorm::completion {

namespace {

std::string Quoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

/// The end of a specification for _arguments: what it says, and what it does.
std::string Completing(const Value& value) {
  if (!value.choices.empty()) {
    return absl::StrCat(":value:(", absl::StrJoin(value.choices, " "), ")");
  }
  return absl::StrCat(":", value.name, value.is_file ? ":_files" : ": ");
}

/// An indented, continued line for each argument that _arguments takes.
std::string Arguments(const std::vector<std::string>& specifications) {
  std::string lines = "_arguments";
  for (const std::string& specification : specifications) {
    absl::StrAppend(&lines, " \\\n        ", Quoted(specification));
  }
  return lines;
}

std::vector<std::string> SpecificationsOf(const std::vector<Flag>& flags) {
  std::vector<std::string> specifications;
  for (const Flag& flag : flags) {
    const std::string help =
        absl::StrReplaceAll(flag.help, {{"[", "\\["}, {"]", "\\]"}});
    for (const std::string& name : flag.names) {
      std::string text =
          flag.repeats ? "*"
                       : absl::StrCat("(", absl::StrJoin(flag.names, " "), ")");
      absl::StrAppend(&text, name);
      if (flag.takes_value) {
        // The value may be a word of its own, too.
        absl::StrAppend(&text, name.substr(0, 2) == "--" ? "=" : "+");
      }
      absl::StrAppend(&text, "[", help, "]");
      if (flag.takes_value) absl::StrAppend(&text, Completing(flag.value));
      specifications.push_back(text);
    }
  }
  return specifications;
}

}  // namespace

std::string ZshScript(const Program& program) {
  std::string names, cases;
  for (const Command& command : program.commands) {
    absl::StrAppend(&names, "    ",
                    Quoted(absl::StrCat(command.name, ":", command.help)),
                    "\n");
    std::vector<std::string> specifications = SpecificationsOf(command.flags);
    for (const Value& operand : command.operands) {
      specifications.push_back(absl::StrCat(":", Completing(operand)));
    }
    absl::StrAppend(&cases, "    ", command.name, ")\n      ",
                    Arguments(specifications), "\n      ;;\n");
  }
  std::vector<std::string> first = SpecificationsOf(program.flags);
  first.insert(first.end(), {"1:command:->command", "*::argument:->argument"});
  const std::string function = absl::StrCat("_", program.name);
  return absl::StrCat(
      "#compdef ", program.name, "\n", function,
      "() {\n"
      "  local curcontext=$curcontext state line\n"
      "  local -A opt_args\n"
      "  local -a commands=(\n",
      names,
      "  )\n"
      "  ",
      absl::StrReplaceAll(Arguments(first), {{"_arguments", "_arguments -C"}}),
      " && return\n"
      "  if [[ $state == command ]]; then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  case $words[1] in\n",
      cases,
      "  esac\n"
      "}\n"
      "# Read by compinit from a file of this name, or by `source`.\n"
      "if [[ $funcstack[1] == ",
      function, " ]]; then\n  ", function, " \"$@\"\nelse\n  compdef ",
      function, " ", program.name, "\nfi\n");
}

}  // namespace groupnorm::completion
