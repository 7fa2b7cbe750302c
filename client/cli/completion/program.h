#ifndef GROUPNORM_CLIENT_CLI_COMPLETION_PROGRAM_H_
#define GROUPNORM_CLIENT_CLI_COMPLETION_PROGRAM_H_

#include <CLI/App.hpp>
#include <string>
#include <vector>

/// What a shell has to know of the command line in order to complete it.
namespace groupnorm::completion {

/// What may stand where a flag or a command takes a value.
struct Value {
  std::string name;                  ///< As in "DURATION".
  bool is_file = false;              ///< The name of a file.
  std::vector<std::string> choices;  ///< One of these words; none: anything.
};

struct Flag {
  std::vector<std::string> names;  ///< With their dashes, short ones first.
  std::string help;
  bool takes_value = false;
  Value value;
  bool repeats = false;  ///< May be given more than once.
};

struct Command {
  std::string name;
  std::string help;
  std::vector<Flag> flags;
  std::vector<Value> operands;  ///< In their order.
};

struct Program {
  std::string name;
  std::vector<Flag> flags;  ///< In the place of a command.
  std::vector<Command> commands;
};

/// Reads it from the flags and commands that were added: a type is kFileType, a
/// list of words as OneOf makes it, or stands for anything. Help is the first
/// sentence of each text.
Program Describe(const CLI::App& app);

// The scripts, to be read by the shell that they are for. All complete
// commands, flags, words and files; zsh and fish show the help beside them.
std::string BashScript(const Program& program);
std::string ZshScript(const Program& program);
std::string FishScript(const Program& program);

}  // namespace groupnorm::completion

#endif  // GROUPNORM_CLIENT_CLI_COMPLETION_PROGRAM_H_
