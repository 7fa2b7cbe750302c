#include "bench/service/blocking_load.h"

#include <thread>
#include <utility>

#include "absl/time/clock.h"

namespace groupnorm::bench {

namespace {

struct CallsOfOne {
  absl::Status status;
  std::vector<double> seconds;
};

CallsOfOne CallUntil(BlockingCaller& caller, absl::Time end) {
  CallsOfOne calls;
  absl::Time start = absl::Now();
  do {
    calls.status = caller.Call();
    const absl::Time now = absl::Now();
    calls.seconds.push_back(absl::ToDoubleSeconds(now - start));
    start = now;
  } while (calls.status.ok() && start < end);
  return calls;
}

}  // namespace

BlockingLoad::BlockingLoad(std::vector<std::unique_ptr<BlockingCaller>> callers)
    : callers_(std::move(callers)) {}

absl::Status BlockingLoad::Check() {
  for (const auto& caller : callers_) {
    if (absl::Status status = caller->Call(); !status.ok()) return status;
    if (!caller->IsRight()) {
      return absl::DataLossError("response: not the bits of the kernels");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<double>> BlockingLoad::Run(absl::Time end) {
  std::vector<CallsOfOne> calls(callers_.size());
  std::vector<std::thread> threads;
  threads.reserve(callers_.size());
  for (std::size_t i = 0; i < callers_.size(); ++i) {
    threads.emplace_back([&, i] { calls[i] = CallUntil(*callers_[i], end); });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<double> seconds;
  for (const CallsOfOne& own : calls) {
    if (!own.status.ok()) return own.status;
    seconds.insert(seconds.end(), own.seconds.begin(), own.seconds.end());
  }
  return seconds;
}

}  // namespace groupnorm::bench
