#include "server/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "server/config_file.h"
#include "server/flag_values.h"
#include "server/flag_without_value.h"
#include "server/help_text.h"
#include "server/server_info.h"

namespace groupnorm {
namespace {

// A flag that a file can give as well.
struct Setting {
  std::string name;  // The flag without its dashes.
  // Takes a value; `giver` comes first in what Refuse() says.
  std::function<void(const std::string& giver, const std::string& value)> set;
  std::function<std::string()> format;
};

// The parser of the command line and where it puts what it finds.
struct CommandLine {
  CommandLine();

  Flags flags;
  std::string config;  // Path; empty: none.
  bool check_config = false;
  bool print_config = false;
  CLI::App app{"Computes Group Normalization, forward and backward, over gRPC.",
               "groupnorm-server"};
  std::vector<Setting> settings;
};

// What a setting was given by other than a flag, in the words for a message: as
// in "server.conf:3: workers", or "GROUPNORM_WORKERS".
using Givers = std::map<std::string, std::string>;

// GROUPNORM_MAX_MESSAGE_BYTES for --max-message-bytes.
std::string EnvironmentName(const std::string& flag) {
  return absl::StrCat("GROUPNORM_", absl::AsciiStrToUpper(absl::StrReplaceAll(
                                        flag.substr(2), {{"-", "_"}})));
}

// Adds a flag with one value, which `parse` makes of its text.
template <typename T>
void AddFlag(CommandLine& line, const std::string& flag, T& target,
             T (*parse)(const std::string&, const std::string&),
             const std::string& type, const std::string& help) {
  line.settings.push_back(
      {flag.substr(2),
       [&target, parse](const std::string& giver, const std::string& value) {
         target = parse(giver, value);
       },
       [&target] { return Format(target); }});
  line.app
      .add_option_function<std::string>(
          flag,
          [&target, parse, flag](const std::string& value) {
            target = parse(flag, value);
          },
          WrapHelp(help))
      ->type_name(type)
      ->default_str(Format(target))
      ->envname(EnvironmentName(flag));
}

void AddListen(CommandLine& line) {
  ServerOptions& options = line.flags.server;
  line.settings.push_back(
      {"listen",
       [&options](const std::string&, const std::string& value) {
         options.listen = absl::StrSplit(value, ',');
       },
       [&options] { return Format(options.listen); }});
  line.app
      .add_option(
          "--listen", options.listen,
          WrapHelp("Address to listen on: host:port (port 0: any free one) "
                   "or unix:path; several are separated by commas or by "
                   "repeating the flag. The default is reachable from this "
                   "machine only, since the connection is not encrypted."))
      ->type_name("ADDRESS")
      ->delimiter(',')
      ->default_str(Format(options.listen))
      ->envname(EnvironmentName("--listen"));
  line.settings.push_back(
      {"insecure",
       [&options](const std::string& giver, const std::string& value) {
         options.insecure = ParseBool(giver, value);
       },
       [&options] { return Format(options.insecure); }});
  line.app
      .add_flag(
          "--insecure", options.insecure,
          WrapHelp(
              "Allow --listen on an address that other machines reach, without "
              "encryption. Off by default, so that nobody does it unawares."))
      ->envname(EnvironmentName("--insecure"));
}

void AddConfig(CommandLine& line) {
  line.app
      .add_option(
          "--config", line.config,
          WrapHelp(
              "File of settings, one a line: the name of a flag without its "
              "dashes, =, its value, as in workers = 4. Lines that begin "
              "with # are comments. Flags and the environment go before it."))
      ->type_name("FILE")
      ->envname(EnvironmentName("--config"));
  line.app.add_flag(
      "--check-config", line.check_config,
      WrapHelp("Check the settings from everywhere, say so, and exit "
               "without serving."));
  line.app.add_flag(
      "--print-config", line.print_config,
      WrapHelp("Print the settings from everywhere as --config reads "
               "them, and exit without serving."));
}

void AddBounds(CommandLine& line) {
  ServerOptions& options = line.flags.server;
  AddFlag(line, "--max-message-bytes", options.max_message_bytes, &ParseSize,
          "SIZE",
          "Largest request and largest response. The default holds a float32 "
          "tensor of 64 Mi elements; at most 2147483647, which is what gRPC "
          "and protobuf can count.");
  AddFlag(line, "--max-queued-calls", options.max_queued_calls, &ParseNumber,
          "CALLS",
          "Calls in flight; further ones get UNAVAILABLE before their body is "
          "read. The default keeps the wait of the last one short while no "
          "ordinary burst is refused.");
  AddFlag(line, "--max-queued-bytes", options.max_queued_bytes, &ParseSize,
          "SIZE",
          "Memory that all requests together may take for their tensors, "
          "results and scratch; a request waits until its part is free. The "
          "default holds two Backwards of the largest message at its default.");
  AddFlag(
      line, "--max-reading-calls", options.max_reading_calls, &ParseNumber,
      "CALLS",
      "Calls whose bodies are received at the same time; times "
      "--max-message-bytes it bounds their memory. 0: twice the workers, so "
      "that the next body arrives while one is computed.");
  AddFlag(line, "--read-timeout", options.read_timeout, &ParseTimeout,
          "DURATION",
          "How long a request may take to arrive once it is its turn to be "
          "read; then it gets DEADLINE_EXCEEDED. At the default a message of "
          "256 MiB may come over a line of 100 Mbit/s.");
  AddFlag(
      line, "--write-timeout", options.write_timeout, &ParseTimeout, "DURATION",
      "How long a caller may take to receive its response; then the call "
      "is cancelled. The default is that of --read-timeout, since responses "
      "are as large as requests.");
}

void AddProcess(CommandLine& line) {
  Flags& flags = line.flags;
  AddFlag(line, "--workers", flags.server.workers, &ParseNumber, "THREADS",
          "Threads that compute. 0: the CPUs that this process may use (its "
          "affinity and cgroup quota), since more only take turns.");
  AddFlag(line, "--drain-delay", flags.server.drain_delay, &ParseTimeout,
          "DURATION",
          "How long after SIGTERM or SIGINT calls are still answered while the "
          "health says NOT_SERVING. The default is ample for clients that "
          "watch the health; let it cover the time that a load balancer takes "
          "to notice.");
  AddFlag(line, "--drain-timeout", flags.server.drain_timeout, &ParseTimeout,
          "DURATION",
          "How long after that calls in flight are waited for before they are "
          "cancelled. The defaults leave 4 seconds of the 30 after which "
          "orchestrators kill a process that they stop.");
  AddFlag(line, "--max-connection-age", flags.server.max_connection_age,
          &ParseTimeout, "DURATION",
          "Age, give or take a tenth, at which a client is asked to connect "
          "anew, so that it looks up the servers again; its calls in flight "
          "are answered. inf: never, since a connection to one server or "
          "through a proxy has nothing new to find.");
  AddFlag(line, "--log-level", flags.log_level, &ParseLogLevel, "LEVEL",
          "Least severe messages on standard error: debug (every call), "
          "info (start and end), warning, error or off.");
}

constexpr char kFooter[] =
    "Examples:\n"
    "  groupnorm-server\n"
    "  groupnorm-server --listen unix:/run/groupnorm.sock --workers 4\n"
    "  groupnorm-server --config server.conf --check-config\n"
    "A flag that is not given is taken from the environment variable beside "
    "it,\n"
    "then from the file of --config.\n"
    "When ready, prints the addresses it listens on to standard output.\n"
    "SIGTERM or SIGINT: tells that it goes (--drain-delay), refuses new\n"
    "calls, finishes those in flight (--drain-timeout), exits. A second "
    "signal\n"
    "ends at once.\n"
    "Exit status: 0 all calls were answered, 1 could not start or calls were\n"
    "cancelled by --drain-timeout, 2 bad flags.";

CommandLine::CommandLine() {
  app.footer(kFooter);
  app.set_version_flag("--version",
                       absl::StrCat("groupnorm-server ",
                                    absl::string_view(ServerVersion().data(),
                                                      ServerVersion().size())),
                       "Print the version and exit.");
  app.set_help_flag("--help", "Print this text and exit.");
  AddConfig(*this);
  AddListen(*this);
  AddProcess(*this);
  AddBounds(*this);
}

// Throws CLI::Error where an entry of the file at `path` is no setting, has no
// such value or is there twice.
void ApplyFile(const std::string& path, const std::vector<ConfigEntry>& entries,
               CommandLine& line, Givers& givers) {
  std::map<std::string, int> lines;
  for (const ConfigEntry& entry : entries) {
    const std::string place = absl::StrCat(path, ":", entry.line, ": ");
    const auto setting = std::find_if(
        line.settings.begin(), line.settings.end(),
        [&entry](const Setting& one) { return one.name == entry.name; });
    if (setting == line.settings.end()) {
      throw CLI::Error("Refused",
                       absl::StrCat(place, entry.name,
                                    ": no setting, groupnorm-server --help "
                                    "lists them (without the dashes)"));
    }
    const auto [first, is_new] = lines.try_emplace(entry.name, entry.line);
    if (!is_new) {
      throw CLI::Error(
          "Refused", absl::StrCat(place, entry.name, ": already given in line ",
                                  first->second));
    }
    givers[entry.name] = absl::StrCat(place, entry.name);
    setting->set(givers[entry.name], entry.value);
  }
}

// Whether the command line gives that flag.
bool Gives(int argc, const char* const* argv, const std::string& flag) {
  return std::any_of(argv + 1, argv + argc, [&flag](absl::string_view word) {
    return absl::ConsumePrefix(&word, flag) &&
           (word.empty() || word.front() == '=');
  });
}

// Throws CLI::Error where a variable has no value of its setting. One that is
// empty counts as not set.
void ApplyEnvironment(int argc, const char* const* argv, CommandLine& line,
                      Givers& givers) {
  for (const Setting& setting : line.settings) {
    const std::string variable = EnvironmentName("--" + setting.name);
    const char* const value = std::getenv(variable.c_str());
    if (value == nullptr || *value == '\0') continue;
    if (Gives(argc, argv, "--" + setting.name)) continue;
    givers[setting.name] = variable;
    setting.set(variable, value);
  }
}

// A setting may be wrong only beside others, which Validate() finds. Begins its
// fault with who gave it, where that was no flag.
absl::Status WithGiver(const absl::Status& fault, const Givers& givers,
                       int argc, const char* const* argv) {
  const std::string message(fault.message());
  for (const auto& [name, giver] : givers) {
    const std::string flag = absl::StrCat("--", name);
    if (message.rfind(flag + ":", 0) == 0 && !Gives(argc, argv, flag)) {
      return absl::InvalidArgumentError(
          absl::StrCat(giver, message.substr(flag.size())));
    }
  }
  return fault;
}

std::string ConfigText(const CommandLine& line) {
  std::string text;
  for (const Setting& setting : line.settings) {
    absl::StrAppend(&text, setting.name, " = ", setting.format(), "\n");
  }
  return text;
}

// Parses into `line`, after the settings of the file at `config`, then those of
// the environment.
absl::Status Parse(int argc, const char* const* argv, const std::string& config,
                   CommandLine& line) {
  try {
    Givers givers;
    if (!config.empty()) {
      const absl::StatusOr<std::vector<ConfigEntry>> entries =
          ReadConfigFile(config);
      if (!entries.ok()) return entries.status();
      ApplyFile(config, *entries, line, givers);
    }
    ApplyEnvironment(argc, argv, line, givers);
    if (const std::string flag = FlagWithoutValue(argc, argv); !flag.empty()) {
      Refuse(flag, "", "a value");
    }
    line.app.parse(argc, argv);
    // The file may complete what is not yet valid.
    if (line.config != config) return absl::OkStatus();
    absl::Status status = Validate(line.flags.server);
    if (!status.ok()) return WithGiver(status, givers, argc, argv);
  } catch (const CLI::ExtrasError& error) {
    return absl::InvalidArgumentError(absl::StrCat(
        error.what(), " (groupnorm-server --help lists what there is)"));
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(error.what());
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Flags> ParseFlags(int argc, const char* const* argv) {
  CommandLine first;
  CommandLine second;
  CommandLine* line = &first;
  // Also where a value is wrong: the text says what is right.
  if (Gives(argc, argv, "--help")) {
    first.flags.print = first.app.help();
    return first.flags;
  }
  if (Gives(argc, argv, "--version")) {
    first.flags.print = absl::StrCat(first.app.version(), "\n");
    return first.flags;
  }
  if (absl::Status status = Parse(argc, argv, "", first); !status.ok()) {
    return status;
  }
  // Once more, so that what the command line gives goes before the file's.
  if (!first.config.empty() && !first.flags.print.has_value()) {
    line = &second;
    absl::Status status = Parse(argc, argv, first.config, second);
    if (!status.ok()) return status;
  }
  if (line->print_config) {
    line->flags.print = ConfigText(*line);
  } else if (line->check_config) {
    line->flags.print = "the settings are valid\n";
  }
  return line->flags;
}

}  // namespace groupnorm
