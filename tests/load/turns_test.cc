// A caller with small requests beside one that floods the server with large
// ones.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "tests/load/load.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/test_server.h"

namespace groupnorm::load {
namespace {

constexpr int kFloodingCallers = 16;

// Of the longest single task, for 99 of 100 small requests.
constexpr std::int64_t kMostWaits = 3;

// What the server's log says about the calls of one caller.
struct Times {
  std::vector<std::int64_t> waits_us;  // From the last byte to the first task.
  std::int64_t longest_task_us = 0;
};

// The number after `label`, which stands in every line of this kind.
std::int64_t NumberAfter(absl::string_view line, absl::string_view label) {
  std::int64_t number = -1;
  const std::vector<absl::string_view> parts = absl::StrSplit(line, label);
  EXPECT_EQ(parts.size(), 2U) << line;
  const absl::string_view rest = parts.back();
  EXPECT_TRUE(absl::SimpleAtoi(rest.substr(0, rest.find(' ')), &number))
      << line;
  return number;
}

// Of the callers whose address begins so.
Times TimesOf(const std::string& log, const std::string& address) {
  Times times;
  for (const absl::string_view line : absl::StrSplit(log, '\n')) {
    if (line.find("Forward from " + address) == absl::string_view::npos ||
        line.find(": first task ") == absl::string_view::npos) {
      continue;
    }
    times.waits_us.push_back(NumberAfter(line, ": first task "));
    times.longest_task_us =
        std::max(times.longest_task_us, NumberAfter(line, "longest task "));
  }
  return times;
}

TEST(Turns, ComeToALightCallerBesideAFlood) {
  const std::string socket = "unix:" + UniquePath(".sock");
  ServerProcess server(
      {"--listen=127.0.0.1:0", "--listen=" + socket, "--log-level=debug"});
  const auto flooding = Connect(server.addresses().front());
  const v1::ForwardRequest large = RequestOfBytes(Size(4 << 20, 256 << 10));
  std::atomic<bool> stop = false;
  std::atomic<int> flooded = 0;
  Threads flood(kFloodingCallers, [&](int /*index*/) {
    while (!stop) {
      v1::ForwardResponse response;
      EXPECT_THAT(CallForward(flooding, large, &response), Succeeds());
      ++flooded;
    }
  });
  const int light_calls = Size(1000, 20);
  GoodCalls light(socket, RequestOfBytes(16 << 10));
  light.Await(light_calls);
  light.Stop();
  stop = true;
  flood.Join();
  server.Signal(SIGTERM);
  EXPECT_EQ(server.Wait(), 0);

  Times small = TimesOf(server.errors(), "unix:");
  const Times others = TimesOf(server.errors(), "ipv4:");
  ASSERT_GE(small.waits_us.size(), static_cast<std::size_t>(light_calls));
  ASSERT_EQ(others.waits_us.size(), static_cast<std::size_t>(flooded));
  std::sort(small.waits_us.begin(), small.waits_us.end());
  const std::int64_t p99 = small.waits_us[small.waits_us.size() * 99 / 100];
  const std::int64_t longest =
      std::max(small.longest_task_us, others.longest_task_us);
  Print(absl::StrFormat(
      "%d small calls beside %d large ones: first task after %d us (p99, "
      "median %d us), longest task %d us",
      small.waits_us.size(), flooded.load(), p99,
      small.waits_us[small.waits_us.size() / 2], longest));
  // Times say nothing in a brief run, nor under sanitizers.
  if (Size(1, 0) == 1 && MemoryIsMeasurable()) {
    EXPECT_LE(p99, kMostWaits * longest);
  }
}

}  // namespace
}  // namespace groupnorm::load
