#include "server/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "server/config_file.h"
#include "server/help_text.h"
#include "server/server_info.h"

namespace groupnorm {
namespace {

constexpr std::array<std::pair<const char*, int>, 3> kUnits = {
    {{"GiB", 30}, {"MiB", 20}, {"KiB", 10}}};

constexpr std::array kLogLevels = {"debug", "info", "warning", "error", "off"};

// Ends the parsing; ParseFlags() returns the text.
[[noreturn]] void Refuse(const std::string& flag, const std::string& value,
                         const char* expected) {
  throw CLI::Error("Refused",
                   absl::StrCat(flag, ": '", value, "', expected ", expected));
}

int ParseNumber(const std::string& flag, const std::string& value) {
  int number = 0;
  if (!absl::SimpleAtoi(value, &number)) {
    Refuse(flag, value, "a whole number");
  }
  return number;
}

std::int64_t ParseSize(const std::string& flag, const std::string& value) {
  absl::string_view digits = value;
  int shift = 0;
  for (const auto& [unit, bits] : kUnits) {
    if (shift == 0 && absl::ConsumeSuffix(&digits, unit)) shift = bits;
  }
  std::int64_t count = 0;
  if (!absl::SimpleAtoi(digits, &count) || count < 0 ||
      count > (std::numeric_limits<std::int64_t>::max() >> shift)) {
    Refuse(flag, value, "bytes, or a size such as 256MiB (KiB, MiB, GiB)");
  }
  return count << shift;
}

absl::Duration ParseTimeout(const std::string& flag, const std::string& value) {
  absl::Duration timeout;
  // A bare number would be seconds to some and milliseconds to others. The
  // parser lets one pass, 0.
  if (value == "0" || !absl::ParseDuration(value, &timeout)) {
    Refuse(flag, value, "a duration such as 10s or 500ms");
  }
  return timeout;
}

bool ParseBool(const std::string& flag, const std::string& value) {
  if (value != "true" && value != "false") {
    Refuse(flag, value, "true or false");
  }
  return value == "true";
}

std::string ParseLogLevel(const std::string& flag, const std::string& value) {
  if (std::find(kLogLevels.begin(), kLogLevels.end(), value) ==
      kLogLevels.end()) {
    Refuse(flag, value, "debug, info, warning, error or off");
  }
  return value;
}

// What the functions above parse, again as text.

std::string Format(int number) { return absl::StrCat(number); }

std::string Format(std::int64_t bytes) {
  for (const auto& [unit, bits] : kUnits) {
    const std::int64_t count = bytes >> bits;
    if (count > 0 && count << bits == bytes) return absl::StrCat(count, unit);
  }
  return absl::StrCat(bytes);
}

std::string Format(absl::Duration timeout) {
  return timeout == absl::ZeroDuration() ? "0s" : absl::FormatDuration(timeout);
}

std::string Format(bool value) { return value ? "true" : "false"; }

std::string Format(const std::string& text) { return text; }

std::string Format(const std::vector<std::string>& addresses) {
  return absl::StrJoin(addresses, ",");
}

// A flag that a file can give as well.
struct Setting {
  std::string name;  // The flag without its dashes.
  // Takes a value; `path` comes first in what Refuse() says.
  std::function<void(const std::string& path, const std::string& value)> set;
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
       [&target, parse](const std::string& path, const std::string& value) {
         target = parse(path, value);
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
       [&options](const std::string& path, const std::string& value) {
         options.insecure = ParseBool(path, value);
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

// The lines of the settings that a file gave.
using Lines = std::map<std::string, int>;

std::string Place(const std::string& path, int line) {
  return absl::StrCat(path, ":", line, ": ");
}

// Throws CLI::Error where an entry is no setting, has no such value or is there
// twice.
Lines Apply(const std::string& path, const std::vector<ConfigEntry>& entries,
            CommandLine& line) {
  Lines lines;
  for (const ConfigEntry& entry : entries) {
    const std::string place = Place(path, entry.line);
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
    setting->set(absl::StrCat(place, entry.name), entry.value);
  }
  return lines;
}

// A file's setting may be wrong only beside others, which Validate() finds.
// Puts the place before its fault, which starts with the flag.
absl::Status WithPlace(const absl::Status& fault, const CommandLine& line,
                       const Lines& lines) {
  const std::string message(fault.message());
  for (const auto& [name, number] : lines) {
    const std::string flag = absl::StrCat("--", name);
    if (message.rfind(flag + ":", 0) == 0 && line.app.count(flag) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(Place(line.config, number), message.substr(2)));
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

// Parses into `line`, after the settings of the file at `config`.
absl::Status Parse(int argc, const char* const* argv, const std::string& config,
                   CommandLine& line) {
  try {
    Lines lines;
    if (!config.empty()) {
      const absl::StatusOr<std::vector<ConfigEntry>> entries =
          ReadConfigFile(config);
      if (!entries.ok()) return entries.status();
      lines = Apply(config, *entries, line);
    }
    line.app.parse(argc, argv);
    // The file may complete what is not yet valid.
    if (line.config != config) return absl::OkStatus();
    absl::Status status = Validate(line.flags.server);
    if (!status.ok()) return WithPlace(status, line, lines);
  } catch (const CLI::CallForHelp&) {
    line.flags.print = line.app.help();
  } catch (const CLI::CallForVersion& version) {
    line.flags.print = absl::StrCat(version.what(), "\n");
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
