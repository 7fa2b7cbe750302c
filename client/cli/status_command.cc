#include "client/cli/status_command.h"

#include <CLI/Option.hpp>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/activity_line.h"
#include "client/cli/client_session.h"
#include "client/server_probe.h"

namespace groupnorm::cli {

namespace {

constexpr char kServing[] = "SERVING";

// How long `--watch` waits before it tries a lost server again.
constexpr absl::Duration kWatchAgain = absl::Seconds(1);

struct StatusFlags {
  ConnectionFlags connection;
  bool watch = false;
};

/// As in "268435456 (256 MiB)"; the bracket only where the size is that exact.
std::string BytesText(std::int64_t bytes) {
  constexpr std::int64_t kMiB = std::int64_t{1} << 20;
  if (bytes <= 0 || bytes % kMiB != 0) return absl::StrCat(bytes);
  return absl::StrCat(bytes, " (", bytes / kMiB, " MiB)");
}

/// As in "1h2m5s"; Abseil gives no unit to a duration of none.
std::string UptimeText(absl::Duration uptime) {
  return uptime == absl::ZeroDuration() ? "0s" : absl::FormatDuration(uptime);
}

void Print(const std::string& address, const std::string& health,
           const ServerInfo& info) {
  std::string dtypes;
  for (const DataType dtype : info.dtypes) {
    absl::StrAppend(&dtypes, dtypes.empty() ? "" : " ",
                    std::string(DataTypeName(dtype)));
  }
  absl::PrintF(
      "address            %s\n"
      "health             %s\n"
      "version            %s\n"
      "uptime             %s\n"
      "workers            %d\n"
      "simd target        %s\n"
      "dtypes             %s\n"
      "max message bytes  %s\n",
      address, health, info.version, UptimeText(info.uptime), info.workers,
      info.simd_target, dtypes, BytesText(info.max_message_bytes));
}

Outcome RunOnce(const ConnectionFlags& flags) {
  ServerProbe probe(flags.server);
  std::optional<ActivityLine> line(std::in_place,
                                   absl::StrCat("waiting for ", flags.server));
  const absl::StatusOr<ServerAnswer> answer = probe.Ask(flags.timeout);
  line.reset();
  if (!answer.ok()) return CallFailure(answer.status());
  Print(flags.server, answer->health, answer->info);
  if (answer->health == kServing) return {};
  return {ExitCode::kNoAnswer, absl::StrCat(flags.server, ": ", answer->health,
                                            ", expected ", kServing)};
}

/// Prints a line where the health is another than before.
class ChangePrinter {
 public:
  /// False where standard output cannot be written any more.
  bool Print(const std::string& health) {
    if (health == last_) return true;
    last_ = health;
    absl::PrintF("%s %s\n",
                 absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(),
                                  absl::UTCTimeZone()),
                 health);
    return std::fflush(stdout) == 0;
  }

 private:
  std::string last_;
};

/// Ends where the output does, or a signal ends the process.
Outcome RunWatch(const ConnectionFlags& flags) {
  ServerProbe probe(flags.server);
  ChangePrinter printer;
  for (;;) {
    const absl::Status status =
        probe.Watch([&printer](const std::string& health) {
          return printer.Print(health);
        });
    if (!status.ok() && status.code() != absl::StatusCode::kUnavailable) {
      return CallFailure(status);
    }
    if (status.ok() || !printer.Print("NO_ANSWER")) {
      return {ExitCode::kFile, "standard output cannot be written"};
    }
    absl::SleepFor(kWatchAgain);
  }
}

}  // namespace

void AddStatusCommand(CLI::App& app, Outcome& outcome) {
  CLI::App* const command = app.add_subcommand(
      "status", "Asks a server for its health, version, limits and machine");
  command->footer(
      "Succeeds where the health is SERVING, so that it serves as a probe.\n"
      "Examples:\n"
      "  groupnorm status --server 127.0.0.1:50051\n"
      "  groupnorm status --watch");
  const auto flags = std::make_shared<StatusFlags>();
  flags->connection.server = ClientOptions().address;
  AddConnectionFlags(*command, flags->connection,
                     absl::StrCat("Default: ", flags->connection.server));
  command
      ->add_flag("--watch", flags->watch,
                 "Go on, and print a line with the time whenever the health "
                 "changes (NO_ANSWER: no server is reached), until a signal")
      ->excludes("--timeout");
  command->callback([flags, &outcome] {
    outcome =
        flags->watch ? RunWatch(flags->connection) : RunOnce(flags->connection);
  });
}

}  // namespace groupnorm::cli
