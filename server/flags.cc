#include "server/flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "server/server_info.h"

namespace groupnorm {
namespace {

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
  static constexpr std::array<std::pair<const char*, int>, 3> kUnits = {
      {{"KiB", 10}, {"MiB", 20}, {"GiB", 30}}};
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

std::string ParseLogLevel(const std::string& flag, const std::string& value) {
  if (std::find(kLogLevels.begin(), kLogLevels.end(), value) ==
      kLogLevels.end()) {
    Refuse(flag, value, "debug, info, warning, error or off");
  }
  return value;
}

// GROUPNORM_MAX_MESSAGE_BYTES for --max-message-bytes.
std::string EnvironmentName(const std::string& flag) {
  return absl::StrCat("GROUPNORM_", absl::AsciiStrToUpper(absl::StrReplaceAll(
                                        flag.substr(2), {{"-", "_"}})));
}

// Breaks a text into lines that fit beside the flags of --help.
std::string Wrap(const std::string& text) {
  constexpr std::size_t kLineBytes = 50;
  std::string wrapped;
  std::size_t line_bytes = 0;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (line_bytes > 0) {
      const bool fits = line_bytes + 1 + word.size() <= kLineBytes;
      wrapped += fits ? ' ' : '\n';
      line_bytes = fits ? line_bytes + 1 : 0;
    }
    absl::StrAppend(&wrapped, word);
    line_bytes += word.size();
  }
  return wrapped;
}

// Adds a flag with one value, which `parse` makes of its text.
template <typename T>
void AddFlag(CLI::App& app, const std::string& flag, T& target,
             T (*parse)(const std::string&, const std::string&),
             const std::string& type, const std::string& default_text,
             const std::string& help) {
  app.add_option_function<std::string>(
         flag,
         [&target, parse, flag](const std::string& value) {
           target = parse(flag, value);
         },
         Wrap(help))
      ->type_name(type)
      ->default_str(default_text)
      ->envname(EnvironmentName(flag));
}

void AddListen(CLI::App& app, ServerOptions& options) {
  app.add_option("--listen", options.listen,
                 Wrap("Address to listen on: host:port (port 0: any free one) "
                      "or unix:path; several are separated by commas or by "
                      "repeating the flag. The default is reachable from this "
                      "machine only, since the connection is not encrypted."))
      ->type_name("ADDRESS")
      ->delimiter(',')
      ->default_str(options.listen.front())
      ->envname(EnvironmentName("--listen"));
  app.add_flag(
         "--insecure", options.insecure,
         Wrap("Allow --listen on an address that other machines reach, without "
              "encryption. Off by default, so that nobody does it unawares."))
      ->envname(EnvironmentName("--insecure"));
}

void AddBounds(CLI::App& app, ServerOptions& options) {
  AddFlag(app, "--max-message-bytes", options.max_message_bytes, &ParseSize,
          "SIZE", "256MiB",
          "Largest request and largest response. The default holds a float32 "
          "tensor of 64 Mi elements; at most 2147483647, which is what gRPC "
          "and protobuf can count.");
  AddFlag(app, "--max-queued-calls", options.max_queued_calls, &ParseNumber,
          "CALLS", "256",
          "Calls in flight; further ones get UNAVAILABLE before their body is "
          "read. The default keeps the wait of the last one short while no "
          "ordinary burst is refused.");
  AddFlag(app, "--max-queued-bytes", options.max_queued_bytes, &ParseSize,
          "SIZE", "2GiB",
          "Memory that all requests together may take for their tensors, "
          "results and scratch; a request waits until its part is free. The "
          "default holds two Backwards of the largest message at its default.");
  AddFlag(
      app, "--max-reading-calls", options.max_reading_calls, &ParseNumber,
      "CALLS", "0",
      "Calls whose bodies are received at the same time; times "
      "--max-message-bytes it bounds their memory. 0: twice the workers, so "
      "that the next body arrives while one is computed.");
  AddFlag(app, "--read-timeout", options.read_timeout, &ParseTimeout,
          "DURATION", "30s",
          "How long a request may take to arrive once it is its turn to be "
          "read; then it gets DEADLINE_EXCEEDED. At the default a message of "
          "256 MiB may come over a line of 100 Mbit/s.");
  AddFlag(
      app, "--write-timeout", options.write_timeout, &ParseTimeout, "DURATION",
      "30s",
      "How long a caller may take to receive its response; then the call "
      "is cancelled. The default is that of --read-timeout, since responses "
      "are as large as requests.");
}

void AddProcess(CLI::App& app, Flags& flags) {
  AddFlag(app, "--workers", flags.server.workers, &ParseNumber, "THREADS", "0",
          "Threads that compute. 0: the CPUs that this process may use (its "
          "affinity and cgroup quota), since more only take turns.");
  AddFlag(app, "--drain-delay", flags.server.drain_delay, &ParseTimeout,
          "DURATION", "1s",
          "How long after SIGTERM or SIGINT calls are still answered while the "
          "health says NOT_SERVING. The default is ample for clients that "
          "watch the health; let it cover the time that a load balancer takes "
          "to notice.");
  AddFlag(app, "--drain-timeout", flags.server.drain_timeout, &ParseTimeout,
          "DURATION", "25s",
          "How long after that calls in flight are waited for before they are "
          "cancelled. The defaults leave 4 seconds of the 30 after which "
          "orchestrators kill a process that they stop.");
  AddFlag(app, "--max-connection-age", flags.server.max_connection_age,
          &ParseTimeout, "DURATION", "inf",
          "Age, give or take a tenth, at which a client is asked to connect "
          "anew, so that it looks up the servers again; its calls in flight "
          "are answered. inf: never, since a connection to one server or "
          "through a proxy has nothing new to find.");
  AddFlag(app, "--log-level", flags.log_level, &ParseLogLevel, "LEVEL", "info",
          "Least severe messages on standard error: debug (every call), "
          "info (start and end), warning, error or off.");
}

constexpr char kFooter[] =
    "A flag that is not given is taken from the environment variable beside "
    "it.\n"
    "When ready, prints the addresses it listens on to standard output.\n"
    "SIGTERM or SIGINT: tells that it goes (--drain-delay), refuses new\n"
    "calls, finishes those in flight (--drain-timeout), exits. A second "
    "signal\n"
    "ends at once.\n"
    "Exit status: 0 all calls were answered, 1 could not start or calls were\n"
    "cancelled by --drain-timeout, 2 bad flags.";

}  // namespace

absl::StatusOr<Flags> ParseFlags(int argc, const char* const* argv) {
  Flags flags;
  CLI::App app("Computes Group Normalization, forward and backward, over gRPC.",
               "groupnorm-server");
  app.footer(kFooter);
  app.set_version_flag("--version",
                       absl::StrCat("groupnorm-server ",
                                    absl::string_view(ServerVersion().data(),
                                                      ServerVersion().size())),
                       "Print the version and exit.");
  app.set_help_flag("--help", "Print this text and exit.");
  AddListen(app, flags.server);
  AddProcess(app, flags);
  AddBounds(app, flags.server);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    flags.print = app.help();
    return flags;
  } catch (const CLI::CallForVersion& version) {
    flags.print = absl::StrCat(version.what(), "\n");
    return flags;
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(error.what());
  }
  if (absl::Status status = Validate(flags.server); !status.ok()) {
    return status;
  }
  return flags;
}

}  // namespace groupnorm
