#include "client/cli/status_command.h"

#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/client_session.h"

namespace groupnorm::cli {

namespace {

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

void Print(const std::string& address, const ServerInfo& info) {
  std::string dtypes;
  for (const DataType dtype : info.dtypes) {
    absl::StrAppend(&dtypes, dtypes.empty() ? "" : " ",
                    std::string(DataTypeName(dtype)));
  }
  absl::PrintF(
      "address            %s\n"
      "version            %s\n"
      "uptime             %s\n"
      "workers            %d\n"
      "simd target        %s\n"
      "dtypes             %s\n"
      "max message bytes  %s\n",
      address, info.version, UptimeText(info.uptime), info.workers,
      info.simd_target, dtypes, BytesText(info.max_message_bytes));
}

Outcome RunStatus(const ConnectionFlags& flags) {
  absl::StatusOr<ClientSession> session = ClientSession::Open(flags);
  if (!session.ok()) return OpenFailure(session.status());
  const absl::StatusOr<ServerInfo> info = session->client().GetServerInfo();
  if (!info.ok()) return CallFailure(info.status());
  Print(session->address(), *info);
  return {};
}

}  // namespace

void AddStatusCommand(CLI::App& app, Outcome& outcome) {
  CLI::App* const command = app.add_subcommand(
      "status", "Asks a server for its version, limits and machine");
  command->footer(
      "Example:\n"
      "  groupnorm status --server 127.0.0.1:50051");
  const auto flags = std::make_shared<ConnectionFlags>();
  flags->server = ClientOptions().address;
  flags->max_attempts = 1;  // It asks for what is now.
  AddConnectionFlags(*command, *flags,
                     absl::StrCat("Default: ", flags->server));
  command->callback([flags, &outcome] { outcome = RunStatus(*flags); });
}

}  // namespace groupnorm::cli
