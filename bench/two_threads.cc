#include "bench/two_threads.h"

#include "hwy/cache_control.h"

namespace groupnorm::bench {

namespace {

constexpr std::uint64_t kOnePhase = std::uint64_t{1} << 32;
constexpr std::uint64_t kOpenTasks = kOnePhase - 1;

// Spins for about 100 us, then lets others run between two looks: a helper
// whose processor was taken away must get another chance.
class Spin {
 public:
  void Wait() {
    if (looks_ < kLooksBeforeYield) {
      ++looks_;
      hwy::Pause();
    } else {
      std::this_thread::yield();
    }
  }

 private:
  static constexpr int kLooksBeforeYield = 5000;
  int looks_ = 0;
};

}  // namespace

TwoThreads::TwoThreads() : other_([this] { RunTasksUntilStopped(); }) {}

TwoThreads::~TwoThreads() {
  stopped_.store(true);
  other_.join();
}

void TwoThreads::Run(Computation& computation) {
  computation_.store(&computation, std::memory_order_relaxed);
  for (std::int64_t phase = 0; phase < computation.num_phases(); ++phase) {
    const std::int64_t num_tasks = computation.num_tasks(phase);
    if (num_tasks == 0) continue;
    if (num_tasks == 1) {
      computation.RunTask(phase, 0);
      continue;
    }
    phase_.store(phase, std::memory_order_relaxed);
    num_tasks_.store(num_tasks, std::memory_order_relaxed);
    finished_tasks_.store(0, std::memory_order_relaxed);
    const std::uint64_t before =
        phase_and_open_tasks_.load(std::memory_order_relaxed);
    phase_and_open_tasks_.store(
        before + kOnePhase + static_cast<std::uint64_t>(num_tasks),
        std::memory_order_release);
    while (RunOneTask()) {
    }
    for (Spin spin; finished_tasks_.load(std::memory_order_acquire) < num_tasks;
         spin.Wait()) {
    }
  }
}

void TwoThreads::RunTasksUntilStopped() {
  Spin spin;
  while (!stopped_.load(std::memory_order_relaxed)) {
    if (RunOneTask()) {
      spin = Spin();
    } else {
      spin.Wait();
    }
  }
}

bool TwoThreads::RunOneTask() {
  std::uint64_t seen = phase_and_open_tasks_.load(std::memory_order_acquire);
  do {
    if ((seen & kOpenTasks) == 0) return false;
  } while (!phase_and_open_tasks_.compare_exchange_weak(
      seen, seen - 1, std::memory_order_acq_rel, std::memory_order_acquire));
  // The phase cannot end before this task has: what describes it stays.
  const std::int64_t open = static_cast<std::int64_t>(seen & kOpenTasks);
  const std::int64_t task = num_tasks_.load(std::memory_order_relaxed) - open;
  computation_.load(std::memory_order_relaxed)
      ->RunTask(phase_.load(std::memory_order_relaxed), task);
  finished_tasks_.fetch_add(1, std::memory_order_release);
  return true;
}

}  // namespace groupnorm::bench
