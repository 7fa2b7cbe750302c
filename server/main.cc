// groupnorm-server: flags -> options -> server -> wait for a signal -> drain.

#include <grpc/grpc.h>
#include <pthread.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include "absl/strings/str_join.h"
#include "server/accept.h"
#include "server/flags.h"
#include "server/grpc_log.h"
#include "server/memory_bound.h"
#include "server/options.h"
#include "server/server.h"
#include "server/server_info.h"
#include "server/standard_streams.h"
#include "tensor/process_memory.h"

namespace {

constexpr int kExitFailure = 1;
constexpr int kExitBadFlags = 2;

// SIGTERM and SIGINT, blocked in this thread and in those that it starts from
// now on, so that only WaitForSignal() takes them.
sigset_t BlockEndingSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

int WaitForSignal(const sigset_t& signals) {
  int signal = 0;
  sigwait(&signals, &signal);
  return signal;
}

void LogToStandardError(const std::string& level) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("groupnorm-server"));
  spdlog::set_level(spdlog::level::from_str(level));
  groupnorm::LogGrpcAtDebug();
}

int Fail(const absl::Status& status, int exit_code) {
  const std::string text(status.message());
  std::fprintf(stderr, "groupnorm-server: %s\n", text.c_str());
  return exit_code;
}

int Print(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) {
    return EXIT_SUCCESS;
  }
  const std::string reason = std::strerror(errno);
  return Fail(absl::DataLossError("standard output: " + reason), kExitFailure);
}

int Serve(const groupnorm::Flags& flags, const sigset_t& signals) {
  const auto server = groupnorm::Server::Start(flags.server);
  if (!server.ok()) return Fail(server.status(), kExitFailure);

  const std::string addresses = absl::StrJoin((*server)->addresses(), " ");
  spdlog::info("version {} listening on {}", groupnorm::ServerVersion(),
               addresses);

  const groupnorm::MemoryBound bound =
      groupnorm::MemoryBoundOf(groupnorm::WithDefaults(flags.server));
  spdlog::info("memory: {}", groupnorm::DescribeMemoryBound(bound));
  if (const std::string warning =
          groupnorm::MemoryWarning(bound, groupnorm::UsableMemoryBytes());
      !warning.empty()) {
    spdlog::warn("memory: {}", warning);
  }
  // Last: who waits for this line finds nothing still under way.
  std::printf("groupnorm-server listening on %s\n", addresses.c_str());
  std::fflush(stdout);

  const int signal = WaitForSignal(signals);
  spdlog::info("signal {}: draining after {} for at most {}", signal,
               absl::FormatDuration(flags.server.drain_delay),
               absl::FormatDuration(flags.server.drain_timeout));
  std::thread([&signals] {
    std::_Exit(128 + WaitForSignal(signals));
  }).detach();
  if (!(*server)->Drain()) {
    spdlog::warn("calls were cancelled: they outlived --drain-timeout");
    return kExitFailure;
  }
  spdlog::info("drained");
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  groupnorm::ReserveStandardStreams();
  groupnorm::ReserveDescriptorToRefuseWith();
  groupnorm::KeepFreedMemory();
  const absl::StatusOr<groupnorm::Flags> flags =
      groupnorm::ParseFlags(argc, argv);
  if (!flags.ok()) return Fail(flags.status(), kExitBadFlags);
  if (flags->print.has_value()) return Print(*flags->print);
  LogToStandardError(flags->log_level);
  // Whoever reads the log may be gone: that must not end the calls in flight.
  std::signal(SIGPIPE, SIG_IGN);
  // Before the server starts threads, and for as long as the process lives.
  static const sigset_t kSignals = BlockEndingSignals();
  // Not given back: gRPC's own end may wait 10 s for a thread that polls for
  // nothing, and the end of the process does not need it.
  grpc_init();
  return Serve(*flags, kSignals);
}
