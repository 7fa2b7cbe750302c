// Bodies that come before anyone can read them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "server/memory_bound.h"
#include "server/options.h"
#include "tests/load/load.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/sanitized.h"
#include "tests/testing/test_server.h"

namespace groupnorm::load {
namespace {

constexpr std::int64_t kMebibyte = 1 << 20;

// Of a call that waits for a reading slot: what may come of its body, and the
// terms of docs/adr/0011 for itself and for its connection.
constexpr std::int64_t kParkedCallBytes =
    kLookaheadBytes + kCallOverheadBytes + kConnectionOverheadBytes;
constexpr std::int64_t kSlackBytes = 16 * kMebibyte;

TEST(ParkedCallers, WaitWithTheirBodiesOutside) {
  ServerOptions options;
  options.workers = 2;
  options.max_message_bytes = 9 * kMebibyte;
  options.max_queued_bytes = 64 * kMebibyte;
  options.max_queued_calls = 64;
  options.max_reading_calls = 2;
  const int callers = Size(40, 12);
  const ServerProcess server(FlagsOf(options));
  const std::string address = server.addresses().front();
  // These take the slots, and let go of them when they are told to.
  std::vector<std::unique_ptr<RawCall>> slow(
      static_cast<std::size_t>(options.max_reading_calls));
  for (auto& call : slow) {
    call = std::make_unique<RawCall>(Connect(address), "Forward");
  }
  const std::int64_t before = server.ResidentBytes();
  const std::string request = RequestOfBytes(8 * kMebibyte).SerializeAsString();
  Threads threads(callers, [&](int /*index*/) {
    RawCall call(Connect(address), "Forward");
    call.Send(request);
    EXPECT_THAT(call.Finish(), Succeeds());
  });
  // Until what can be sent has been: the server's memory stands still.
  std::int64_t parked = 0;
  for (int same = 0; same < 5; ++same) {
    absl::SleepFor(absl::Milliseconds(100));
    const std::int64_t now = server.ResidentBytes();
    if (now > parked + kMebibyte) same = 0;
    parked = std::max(parked, now);
  }
  for (const auto& call : slow) call->Cancel();
  threads.Join();
  const std::int64_t bound = MemoryBoundOf(options).total();
  const std::int64_t peak = server.PeakResidentBytes();
  Print(absl::StrFormat(
      "%d callers with 8 MiB bodies: %.1f MiB resident before, %.1f MiB while "
      "parked, %.1f MiB at the peak, bound %.1f MiB",
      callers, Mebibytes(before), Mebibytes(parked), Mebibytes(peak),
      Mebibytes(bound)));
  if (kMemoryIsMeasurable) {
    EXPECT_LE(parked - before, callers * kParkedCallBytes + kSlackBytes);
    EXPECT_LE(peak, bound);
  }
}

}  // namespace
}  // namespace groupnorm::load
