// What takes memory while a call is served throws where there is none, and then
// has changed nothing; all else goes on without.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <new>
#include <stdexcept>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "server/admission.h"
#include "server/allowance.h"
#include "server/guarded.h"
#include "server/open_streams.h"
#include "server/worker_pool.h"
#include "tensor/buffer_pool.h"
#include "tests/testing/allocations.h"
#include "tests/unit/server/stand_ins.h"
#include "tests/unit/server/test_computation.h"

namespace groupnorm {
namespace {

// Runs `attempt` with its first allocation failing, then its second, until none
// is left to fail; after each failure `unchanged` looks at what it left.
// Returns how often it failed.
std::int64_t FailEachAllocation(absl::FunctionRef<void()> attempt,
                                absl::FunctionRef<void()> unchanged) {
  for (std::int64_t before = 0;; ++before) {
    try {
      const FailingAllocation failing(before);
      attempt();
      EXPECT_FALSE(failing.failed()) << "not told of the failure";
      return before;
    } catch (const std::bad_alloc&) {
    }
    unchanged();
  }
}

TEST(AllocationFailures, LeaveAnAllowanceAsItWas) {
  Allowance slots(2);
  EXPECT_TRUE(slots.TakeOrWait(&kOther, "first", 1, [] {}));
  EXPECT_TRUE(slots.TakeOrWait(&kOther, "second", 0, [] {}));
  const auto take = [&] {
    EXPECT_TRUE(slots.TakeOrWait(&kOwn, "third", 1, [] {}));
  };
  EXPECT_GT(FailEachAllocation(take, [&] { EXPECT_EQ(slots.waiting(), 0); }),
            1);
  const auto wait = [&] {
    EXPECT_FALSE(slots.TakeOrWait(&kOwn, "fourth", 1, [] {}));
  };
  EXPECT_GT(FailEachAllocation(wait, [&] { EXPECT_EQ(slots.waiting(), 0); }),
            1);
}

TEST(AllocationFailures, DoNotReachWhoGivesUnitsBack) {
  Allowance slots(1);
  int granted = 0;
  EXPECT_TRUE(slots.TakeOrWait(&kOwn, "first", 1, [] {}));
  for (const char* const call : {"second", "third", "fourth"}) {
    EXPECT_FALSE(slots.TakeOrWait(&kOther, call, 1, [&] { ++granted; }));
  }
  const FailingAllocation failing(0);
  slots.Release(&kOwn, 1);
  slots.Leave("third");
  slots.Release(&kOther, 1);
  EXPECT_FALSE(failing.failed());
  EXPECT_EQ(granted, 2);
}

TEST(AllocationFailures, LeaveAWorkerPoolAsItWas) {
  WorkerPool pool(1, 1);
  absl::Notification entered, opens;
  TestComputation running({1}, [&](std::int64_t, std::int64_t) {
    entered.Notify();
    opens.WaitForNotification();
  });
  std::atomic<int> tasks = 0;
  TestComputation waiting({1, 2}, [&](std::int64_t, std::int64_t) { ++tasks; });
  Outcome running_outcome, waiting_outcome;
  pool.Submit({.computation = &running,
               .connection = &kOther,
               .done = running_outcome.Done()});
  entered.WaitForNotification();
  const auto submit = [&] {
    pool.Submit({.computation = &waiting,
                 .connection = &kOwn,
                 .done = waiting_outcome.Done()});
  };
  EXPECT_GT(FailEachAllocation(submit, [] {}), 1);
  opens.Notify();
  EXPECT_EQ(running_outcome.Await(), absl::OkStatus());
  EXPECT_EQ(waiting_outcome.Await(), absl::OkStatus());
  EXPECT_EQ(tasks, 3);
}

TEST(AllocationFailures, LeaveAdmissionAsItWas) {
  AdmissionController admission(2);
  const auto admit = [&] {
    EXPECT_EQ(admission.Admit(&kOwn, absl::InfiniteFuture()), absl::OkStatus());
  };
  EXPECT_GT(
      FailEachAllocation(admit, [&] { EXPECT_EQ(admission.in_flight(), 0); }),
      0);
  EXPECT_EQ(admission.in_flight(), 1);
}

TEST(AllocationFailures, LeaveThePlacesOfStreamsFree) {
  OpenStreams streams("health watches", 2);
  const auto first = std::make_shared<CountingStream>();
  const auto enter = [&] {
    EXPECT_EQ(streams.Enter(first, &kOwn), absl::OkStatus());
  };
  EXPECT_GT(FailEachAllocation(enter, [] {}), 1);
  EXPECT_EQ(streams.Enter(std::make_shared<CountingStream>(), &kOther),
            absl::OkStatus());
  EXPECT_EQ(streams.Enter(std::make_shared<CountingStream>(), &kOwn).code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(AllocationFailures, DoNotKeepStreamsFromHearingOfAPhase) {
  OpenStreams streams("health watches", 4);
  const auto first = std::make_shared<CountingStream>();
  const auto second = std::make_shared<CountingStream>();
  EXPECT_EQ(streams.Enter(first, &kOwn), absl::OkStatus());
  EXPECT_EQ(streams.Enter(second, &kOwn), absl::OkStatus());
  const FailingAllocation failing(0);
  streams.SetPhase(ServerPhase::kClosing);
  EXPECT_FALSE(failing.failed());
  EXPECT_EQ(first->told(), 1);
  EXPECT_EQ(second->told(), 1);
}

TEST(AllocationFailures, DoNotReachWhoGivesABufferBack) {
  BufferPool pool(1 << 20);
  for (std::int64_t before = 0; before < 4; ++before) {
    Buffer buffer = pool.Take(1000);
    const FailingAllocation failing(before);
    buffer = {};
  }
  EXPECT_LE(pool.idle_bytes(), 1u << 20);
}

TEST(AllocationFailures, AreToldWithoutMemory) {
  EXPECT_EQ(RunGuarded([] { return absl::OkStatus(); }), absl::OkStatus());
  absl::Status told;
  bool failed = false;
  {
    const FailingAllocation failing(0);
    told = RunGuarded([]() -> absl::Status { throw std::bad_alloc(); });
    failed = failing.failed();
  }
  EXPECT_FALSE(failed);
  EXPECT_EQ(told, absl::ResourceExhaustedError("server: out of memory"));
  // Nor is any left for the text of another exception.
  const std::length_error error("longer than what a string holds by itself");
  {
    const FailingAllocation failing(0);
    told =
        RunGuarded([&]() -> absl::Status { throw std::length_error(error); });
  }
  EXPECT_EQ(told, absl::ResourceExhaustedError("server: out of memory"));
}

}  // namespace
}  // namespace groupnorm
