// Ten times more callers than the server admits, for as long as it takes to
// refuse many.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "groupnorm/client.h"
#include "server/memory_bound.h"
#include "server/options.h"
#include "tests/load/load.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/test_server.h"

namespace groupnorm::load {
namespace {

constexpr int kAdmitted = 16;
constexpr int kPeakCallers = 4;
constexpr int kOverloadCallers = 10 * kAdmitted;
constexpr int kConnections = 40;
constexpr int kAlternations = 5;
constexpr double kLeastOfPeak = 0.85;

// What callers met, all together.
struct Tally {
  std::atomic<int> served = 0;
  std::atomic<int> refused = 0;
};

// Calls until `end`, coming back after a refusal when the server asks for it.
// The message is encoded once: what callers pay for theirs is not measured.
void CallUntil(absl::Time end, const std::shared_ptr<grpc::Channel>& channel,
               const grpc::ByteBuffer& message, Tally& tally) {
  while (absl::Now() < end) {
    RawCall call(channel, "Forward");
    call.Send(message);
    const grpc::Status status = call.Finish();
    if (status.ok()) {
      ++tally.served;
      continue;
    }
    ++tally.refused;
    EXPECT_THAT(status, FailsWith(grpc::StatusCode::UNAVAILABLE,
                                  ::testing::StartsWith("server: ")));
    int pushback_ms = 0;
    EXPECT_TRUE(absl::SimpleAtoi(
        call.TrailingMetadatum("grpc-retry-pushback-ms"), &pushback_ms));
    EXPECT_GE(pushback_ms, 1);
    absl::SleepFor(
        std::min(absl::Milliseconds(pushback_ms), end - absl::Now()));
  }
}

grpc::ByteBuffer Encoded(const v1::ForwardRequest& request) {
  const grpc::Slice slice(request.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

class OverloadTest : public ::testing::Test {
 protected:
  OverloadTest() {
    for (auto& channel : channels) channel = Connect(address());
  }

  std::string address() const { return server.addresses().front(); }

  // Calls served in a second by so many callers.
  double Throughput(int callers) {
    const absl::Time start = absl::Now();
    const absl::Time end = start + absl::Milliseconds(Size(3000, 200));
    Tally tally;
    Threads threads(callers, [&](int index) {
      CallUntil(end, channels[static_cast<std::size_t>(index % kConnections)],
                message, tally);
    });
    threads.Join();
    refused += tally.refused;
    return tally.served / absl::ToDoubleSeconds(absl::Now() - start);
  }

  const v1::ForwardRequest request = RequestOfBytes(Size(4 << 20, 64 << 10));
  const grpc::ByteBuffer message = Encoded(request);
  const ServerProcess server{
      {"--listen=127.0.0.1:0",
       absl::StrFormat("--max-queued-calls=%d", kAdmitted)}};
  std::array<std::shared_ptr<grpc::Channel>, kConnections> channels;
  int refused = 0;
};

TEST_F(OverloadTest, RefusesWithAPushbackAndServesOn) {
  std::vector<double> ratios;
  Throughput(kPeakCallers);  // Connections and buffers are there afterwards.
  for (int i = 0; i < kAlternations; ++i) {
    const double peak = Throughput(kPeakCallers);
    const double overload = Throughput(kOverloadCallers);
    ratios.push_back(overload / peak);
    Print(absl::StrFormat("%.0f calls/s of %d callers, %.0f of %d", peak,
                          kPeakCallers, overload, kOverloadCallers));
  }
  std::sort(ratios.begin(), ratios.end());
  const double median = ratios[kAlternations / 2];
  Print(absl::StrFormat(
      "%.2f of the peak is served under overload (median of %d), %d calls "
      "refused, %.1f MiB resident at the peak",
      median, kAlternations, refused, Mebibytes(server.PeakResidentBytes())));
  EXPECT_GE(refused, Size(1000, 1));
  if (MemoryIsMeasurable()) {
    const ServerOptions options = WithDefaults({.max_queued_calls = kAdmitted});
    EXPECT_LE(server.PeakResidentBytes(), MemoryBoundOf(options).total());
  }
  // A speed says nothing in a brief run, nor under sanitizers.
  if (Size(1, 0) == 1 && MemoryIsMeasurable()) {
    EXPECT_GE(median, kLeastOfPeak);
  }
}

TEST_F(OverloadTest, IsSurvivedByTheLibrarysClients) {
  const int calls_each = Size(20, 3);
  const TensorView input = ViewOf(request.input());
  std::atomic<std::int64_t> retries = 0;
  const absl::Time start = absl::Now();
  Threads threads(kOverloadCallers, [&](int /*index*/) {
    const auto client =
        Client::Create({.address = address(), .timeout = absl::Minutes(5)});
    ASSERT_TRUE(client.ok()) << client.status();
    std::vector<std::byte> output(input.size_bytes());
    for (int i = 0; i < calls_each; ++i) {
      const absl::Status status = (*client)->Forward(
          {.input = input, .num_groups = request.config().num_groups()},
          {.output = output.data()});
      EXPECT_TRUE(status.ok()) << status;
    }
    retries += (*client)->retries();
  });
  threads.Join();
  Print(absl::StrFormat("%d clients: %d calls succeeded after %d retries in %s",
                        kOverloadCallers, kOverloadCallers * calls_each,
                        retries.load(),
                        absl::FormatDuration(absl::Now() - start)));
}

}  // namespace
}  // namespace groupnorm::load
