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
#include "tests/testing/raw_call.h"
#include "tests/testing/test_server.h"

namespace groupnorm::load {
namespace {

// Of the longest task of a request of the flood, where 99 of 100 have a shorter
// one: the very longest is one that the machine interrupted, and allows all.
constexpr std::int64_t kMostWaits = 3;

// What the server's log says about the calls of one caller.
struct Times {
  std::vector<std::int64_t> waits_us;  // From the last byte to the first task.
  std::vector<std::int64_t> longest_tasks_us;  // Of each call.
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
    times.longest_tasks_us.push_back(NumberAfter(line, "longest task "));
  }
  return times;
}

// The value below which 99 of 100 are.
std::int64_t P99(std::vector<std::int64_t> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() * 99 / 100];
}

// A flood of `callers` on one connection, each with requests of so many bytes;
// beside it a caller with small ones on another. The flood's message is encoded
// once and its responses are not looked at, so that the machine is busy with
// the server.
void ExpectTurnsBesideFlood(int callers, std::int64_t bytes) {
  const std::string socket = "unix:" + UniquePath(".sock");
  ServerProcess server({"--listen=127.0.0.1:0", "--listen=" + socket,
                        absl::StrFormat("--max-queued-calls=%d", 4 * callers),
                        "--log-level=debug"});
  const auto flooding = Connect(server.addresses().front());
  const std::string message = RequestOfBytes(bytes).SerializeAsString();
  std::atomic<bool> stop = false;
  std::atomic<int> flooded = 0;
  Threads flood(callers, [&](int /*index*/) {
    while (!stop) {
      RawCall call(flooding, "Forward");
      call.Send(message);
      EXPECT_THAT(call.Finish(), Succeeds());
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

  const Times small = TimesOf(server.errors(), "unix-abstract:");
  const Times others = TimesOf(server.errors(), "ipv4:");
  ASSERT_GE(small.waits_us.size(), static_cast<std::size_t>(light_calls));
  ASSERT_EQ(others.waits_us.size(), static_cast<std::size_t>(flooded));
  const std::int64_t wait = P99(small.waits_us);
  const std::int64_t task = P99(others.longest_tasks_us);
  Print(absl::StrFormat(
      "%d small calls beside %d of %d KiB by %d callers: first task after %d "
      "us (p99), longest task of a call %d us (p99), of all %d us",
      small.waits_us.size(), flooded.load(), bytes >> 10, callers, wait, task,
      *std::max_element(others.longest_tasks_us.begin(),
                        others.longest_tasks_us.end())));
  if (TimesAreMeasurable()) {
    EXPECT_LE(wait, kMostWaits * task);
  }
}

TEST(Turns, ComeToALightCallerBesideAFloodOfLargeRequests) {
  ExpectTurnsBesideFlood(16, Size(4 << 20, 256 << 10));
}

TEST(Turns, ComeToALightCallerBesideAFloodOfManyRequests) {
  ExpectTurnsBesideFlood(Size(64, 32), Size(512 << 10, 128 << 10));
}

}  // namespace
}  // namespace groupnorm::load
