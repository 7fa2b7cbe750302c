#include "client/cli/files/leftover.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace groupnorm::cli {

namespace {

struct Leftovers {
  absl::Mutex mutex;
  std::list<std::string> paths ABSL_GUARDED_BY(mutex);  // Later ones first.
};

// Never destroyed: a signal may come until the process is gone.
Leftovers& TheLeftovers() {
  static Leftovers& leftovers = *new Leftovers;
  return leftovers;
}

sigset_t SignalsToBlock() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action = {};
    sigaction(signal, nullptr, &action);
    if (action.sa_handler != SIG_IGN) sigaddset(&signals, signal);
  }
  return signals;
}

// A thread waits for the signals, since a handler would have to do without
// memory and locks, and runs on any thread.
void EndBySignal(const sigset_t& signals) {
  int signal = 0;
  sigwait(&signals, &signal);
  Leftovers& leftovers = TheLeftovers();
  // Kept until the end, so that no thread fails for what is gone, or returns.
  const absl::MutexLock lock(&leftovers.mutex);
  for (const std::string& path : leftovers.paths) {
    if (unlink(path.c_str()) != 0) rmdir(path.c_str());
  }
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  raise(signal);
  // The first process of a container, which a signal does not end by default.
  std::_Exit(128 + signal);
}

}  // namespace

Leftover::Leftover(const std::string& path) {
  Leftovers& leftovers = TheLeftovers();
  const absl::MutexLock lock(&leftovers.mutex);
  entry_ = leftovers.paths.insert(leftovers.paths.begin(), path);
}

Leftover::Leftover(Leftover&& other) noexcept
    : entry_(std::exchange(other.entry_, std::nullopt)) {}

Leftover::~Leftover() {
  if (!entry_.has_value()) return;
  Leftovers& leftovers = TheLeftovers();
  const absl::MutexLock lock(&leftovers.mutex);
  leftovers.paths.erase(*entry_);
}

void RemoveLeftoversOnSignals() {
  const sigset_t signals = SignalsToBlock();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] { EndBySignal(signals); }).detach();
}

}  // namespace groupnorm::cli
