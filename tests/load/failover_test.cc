// Servers that die, freeze and come back behind clients that must not notice.

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "groupnorm/client.h"
#include "tests/load/load.h"
#include "tests/testing/server_process.h"

namespace groupnorm::load {
namespace {

constexpr int kServers = 3;

/// A server that keeps its address through its deaths.
///
/// Each has an address of the loopback network to itself: connections of this
/// process start from 127.0.0.1, so none of them can take the port while the
/// server is dead.
class MortalServer {
 public:
  explicit MortalServer(int index)
      : address_(Start(absl::StrCat("127.0.0.", index + 2, ":0"))) {}

  const std::string& address() const { return address_; }
  void Freeze() { process_->Freeze(); }
  void Thaw() { process_->Thaw(); }
  void Restart() { Start(address_); }

  void Kill() {
    process_->Signal(SIGKILL);
    process_->Wait();
  }

 private:
  std::string Start(const std::string& address) {
    process_ = std::make_unique<ServerProcess>(
        std::vector<std::string>{absl::StrCat("--listen=", address)});
    // A signal to a server that never was would go to every process there is.
    if (process_->ready_line().empty()) std::abort();
    return process_->addresses().front();
  }

  std::unique_ptr<ServerProcess> process_;
  std::string address_;
};

struct Faults {
  std::atomic<int> kills = 0;
  std::atomic<int> freezes = 0;
};

/// Kills or freezes a server again and again, until told to stop; then it runs.
class Misfortune {
 public:
  Misfortune(MortalServer& server, Faults& faults,
             const absl::Notification& stop, std::uint64_t seed)
      : server_(server), faults_(faults), stop_(stop), random_(seed) {}

  void Run() {
    while (Live(Between(0.5, 3))) {
      if (random_() % 2 == 0) {
        ++faults_.kills;
        server_.Kill();
        Live(Between(0, 1.5));
        server_.Restart();
        continue;
      }
      ++faults_.freezes;
      server_.Freeze();
      // Sometimes longer than it takes to notice.
      Live(random_() % 4 == 0 ? Between(5, 20) : Between(0.1, 3));
      if (random_() % 3 == 0) {
        ++faults_.kills;
        server_.Kill();
        server_.Restart();
      } else {
        server_.Thaw();
      }
    }
  }

 private:
  absl::Duration Between(double least, double most) {
    return absl::Seconds(
        std::uniform_real_distribution<double>(least, most)(random_));
  }

  /// False: the end has come.
  bool Live(absl::Duration time) {
    return !stop_.WaitForNotificationWithTimeout(time);
  }

  MortalServer& server_;
  Faults& faults_;
  const absl::Notification& stop_;
  std::mt19937_64 random_;
};

/// A problem of so many values, [2, 32, n] in 8 groups, and memory for what
/// Forward and Backward give.
struct Problem {
  explicit Problem(std::size_t values)
      : input(values), output(values), grad_input(values), grad_weight(32) {
    std::mt19937 random(static_cast<unsigned>(values));
    std::normal_distribution<float> normal;
    std::generate(input.begin(), input.end(), [&] { return normal(random); });
  }

  TensorView view() const {
    return {DataType::kFloat32,
            {2, 32, static_cast<std::int64_t>(input.size() / 64)},
            input.data()};
  }
  ForwardArguments forward() const {
    return {.input = view(), .num_groups = 8};
  }
  ForwardResults forward_results() { return {.output = output.data()}; }
  BackwardArguments backward() const {
    return {.grad_output = view(), .input = view(), .num_groups = 8};
  }
  BackwardResults backward_results() {
    return {.grad_input = grad_input.data(), .grad_weight = grad_weight.data()};
  }
  void Clear() {
    for (auto* const result : {&output, &grad_input, &grad_weight}) {
      std::fill(result->begin(), result->end(), 0.0F);
    }
  }

  std::vector<float> input, output, grad_input, grad_weight;
};

/// What all callers found.
class Ledger {
 public:
  void Add(const absl::Status& status, bool right, absl::Duration taken) {
    const absl::MutexLock lock(&mutex_);
    ++calls_;
    if (!status.ok()) {
      ++failed_;
      ADD_FAILURE() << status;
    } else if (!right) {
      ++wrong_;
      ADD_FAILURE() << "other bits than at first";
    }
    slowest_ = std::max(slowest_, taken);
  }

  std::string Figures() const {
    const absl::MutexLock lock(&mutex_);
    return absl::StrFormat("%d calls, %d failed, %d wrong, slowest %s", calls_,
                           failed_, wrong_, absl::FormatDuration(slowest_));
  }

 private:
  mutable absl::Mutex mutex_;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  int failed_ ABSL_GUARDED_BY(mutex_) = 0;
  int wrong_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration slowest_ ABSL_GUARDED_BY(mutex_);
};

/// Forward and Backward of one problem in turns, one call at a time.
class Caller {
 public:
  /// Learns the right answers from `reference`.
  Caller(std::size_t values, Client& reference)
      : problem_(values), right_(values) {
    EXPECT_EQ(reference.Forward(right_.forward(), right_.forward_results()),
              absl::OkStatus());
    EXPECT_EQ(reference.Backward(right_.backward(), right_.backward_results()),
              absl::OkStatus());
  }

  /// Calls until stopped, and waits for each call.
  void Run(Client& client, Ledger& ledger, const absl::Notification& stop) {
    while (!stop.HasBeenNotified()) {
      problem_.Clear();
      const absl::Time start = absl::Now();
      absl::Status status =
          client.Forward(problem_.forward(), problem_.forward_results());
      ledger.Add(status, problem_.output == right_.output, absl::Now() - start);
      const absl::Time middle = absl::Now();
      status =
          client.Backward(problem_.backward(), problem_.backward_results());
      ledger.Add(status, BackwardIsRight(), absl::Now() - middle);
    }
  }

  /// The same with asynchronous calls, each started by the callback of the one
  /// before.
  void Start(Client& client, Ledger& ledger, const absl::Notification& stop) {
    problem_.Clear();
    start_ = absl::Now();
    client.BackwardAsync(problem_.backward(), problem_.backward_results(),
                         [&, this](const absl::Status& status) {
                           ledger.Add(status, BackwardIsRight(),
                                      absl::Now() - start_);
                           if (stop.HasBeenNotified()) {
                             done_.Notify();
                           } else {
                             Start(client, ledger, stop);
                           }
                         });
  }
  void Await() { done_.WaitForNotification(); }

 private:
  bool BackwardIsRight() const {
    return problem_.grad_input == right_.grad_input &&
           problem_.grad_weight == right_.grad_weight;
  }

  Problem problem_;
  Problem right_;
  absl::Time start_;
  absl::Notification done_;
};

std::unique_ptr<Client> MakeClient(const std::string& address,
                                   absl::Duration attempt_timeout) {
  absl::StatusOr<std::unique_ptr<Client>> client =
      Client::Create({.address = address,
                      .timeout = absl::Minutes(2),
                      .retry = {.attempt_timeout = attempt_timeout}});
  EXPECT_EQ(client.status(), absl::OkStatus());
  return *std::move(client);
}

TEST(Failover, IsNotNoticedByCallers) {
  const absl::Duration duration = absl::Seconds(Size(120, 10));
  std::vector<std::unique_ptr<MortalServer>> servers;
  std::vector<std::string> addresses;
  for (int i = 0; i < kServers; ++i) {
    servers.push_back(std::make_unique<MortalServer>(i));
    addresses.push_back(servers.back()->address());
  }
  const std::string address = absl::StrJoin(addresses, ",");
  // One that knows how long its calls take, and one that has only the pings.
  const std::array<std::unique_ptr<Client>, 2> clients = {
      MakeClient(address, absl::Seconds(5)),
      MakeClient(address, absl::InfiniteDuration())};
  std::vector<std::unique_ptr<Caller>> waiting, asynchronous;
  for (const std::size_t values : {1 << 10, 1 << 16, 1 << 20}) {
    for (std::size_t i = 0; i < clients.size(); ++i) {
      waiting.push_back(std::make_unique<Caller>(values, *clients[i]));
    }
    for (int i = 0; i < 4; ++i) {
      asynchronous.push_back(std::make_unique<Caller>(values, *clients[0]));
    }
  }

  absl::Notification stop_faults, stop_calls;
  Faults faults;
  Ledger ledger;
  for (std::size_t i = 0; i < asynchronous.size(); ++i) {
    asynchronous[i]->Start(*clients[i % 2], ledger, stop_calls);
  }
  Threads callers(static_cast<int>(waiting.size()), [&](int i) {
    waiting[i]->Run(*clients[i % 2], ledger, stop_calls);
  });
  Threads misfortunes(kServers, [&](int i) {
    Misfortune(*servers[i], faults, stop_faults, 7 * i + 1).Run();
  });
  stop_calls.WaitForNotificationWithTimeout(duration);
  stop_faults.Notify();
  misfortunes.Join();
  stop_calls.Notify();
  callers.Join();
  for (const auto& caller : asynchronous) caller->Await();

  Print(absl::StrFormat(
      "%s, %d retries; %d kills, %d freezes of %d servers in %s",
      ledger.Figures(), clients[0]->retries() + clients[1]->retries(),
      faults.kills.load(), faults.freezes.load(), kServers,
      absl::FormatDuration(duration)));
  EXPECT_GT(faults.kills, 0);
  EXPECT_GT(faults.freezes, 0);
  EXPECT_GT(clients[0]->retries() + clients[1]->retries(), 0);
}

}  // namespace
}  // namespace groupnorm::load
