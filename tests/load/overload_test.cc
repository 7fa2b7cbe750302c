// Ten times more callers than the server admits, for as long as it takes to
// refuse many.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
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
#include "tests/load/sent_bytes.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/sanitized.h"
#include "tests/testing/test_server.h"

namespace groupnorm::load {
namespace {

constexpr int kAdmitted = 16;
constexpr std::array kPeakCallers = {4, 8, 16};
constexpr int kOverloadCallers = 10 * kAdmitted;
constexpr int kConnections = 40;
constexpr int kAlternations = 5;
constexpr double kLeastOfPeak = 0.85;
constexpr int kLeastRefused = 1000;
constexpr int kMostFurtherRounds = 10;

// Of a call beside its body: headers, frames' headers, settings and pings.
constexpr std::int64_t kMetadataBytes = 4 << 10;

// Limits that leave room for what is served, and none for the bodies of those
// that are refused: together they have some ten times as many.
ServerOptions Options(std::int64_t message_bytes) {
  ServerOptions options;
  options.workers = 2;
  options.max_message_bytes = message_bytes + 4096;
  options.max_queued_bytes = 16 * message_bytes;
  options.max_queued_calls = kAdmitted;
  options.max_reading_calls = 4;
  return options;
}

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
    served += tally.served;
    refused += tally.refused;
    return tally.served / absl::ToDoubleSeconds(absl::Now() - start);
  }

  int CallersOfMostThroughput() {
    std::map<double, int> callers_of;
    for (const int callers : kPeakCallers) {
      callers_of[Throughput(callers)] = callers;
    }
    return callers_of.rbegin()->second;
  }

  // Of the bodies that were refused the kernel has sent what may travel
  // unasked, at most.
  void ExpectBodiesOfRefusedUnread() const {
    const auto body = static_cast<std::int64_t>(message.Length());
    const std::int64_t unasked =
        SentBytes(address()) -
        served * (body + kMetadataBytes);  // All that was served.
    Print(absl::StrFormat("%.1f KiB were sent of each call that was refused",
                          static_cast<double>(unasked) / 1024 / refused));
    EXPECT_LE(unasked, refused * (kLookaheadBytes + kMetadataBytes));
  }

  const v1::ForwardRequest request = RequestOfBytes(Size(4 << 20, 512 << 10));
  const grpc::ByteBuffer message = Encoded(request);
  const ServerOptions options =
      Options(static_cast<std::int64_t>(request.input().data().size()));
  const ServerProcess server{FlagsOf(options)};
  std::array<std::shared_ptr<grpc::Channel>, kConnections> channels;
  int served = 0;
  int refused = 0;
};

TEST_F(OverloadTest, RefusesWithAPushbackAndServesOn) {
  std::vector<double> ratios;
  // Connections and buffers are there afterwards.
  Throughput(kPeakCallers.back());
  const int peak_callers = CallersOfMostThroughput();
  for (int i = 0; i < kAlternations; ++i) {
    const double peak = Throughput(peak_callers);
    const double overload = Throughput(kOverloadCallers);
    ratios.push_back(overload / peak);
    Print(absl::StrFormat("%.0f calls/s of %d callers, %.0f of %d", peak,
                          peak_callers, overload, kOverloadCallers));
  }
  // A slow machine takes longer to refuse as many.
  const int least_refused = Size(kLeastRefused, 1);
  for (int i = 0; i < kMostFurtherRounds && refused < least_refused; ++i) {
    Throughput(kOverloadCallers);
  }
  std::sort(ratios.begin(), ratios.end());
  const double median = ratios[kAlternations / 2];
  const std::int64_t peak_bytes = server.PeakResidentBytes();
  const std::int64_t bound = MemoryBoundOf(options).total();
  Print(absl::StrFormat(
      "%.2f of the peak is served under overload (median of %d), %d calls "
      "refused, %.1f MiB resident at the peak, bound %.1f MiB",
      median, kAlternations, refused, Mebibytes(peak_bytes), Mebibytes(bound)));
  if (kMemoryIsMeasurable) {
    EXPECT_LE(peak_bytes, bound);
  }
  EXPECT_GE(refused, least_refused);
  ExpectBodiesOfRefusedUnread();
  if (TimesAreMeasurable()) {
    EXPECT_GE(median, kLeastOfPeak);
  }
}

TEST_F(OverloadTest, IsSurvivedByTheLibrarysClients) {
  const int calls_each = Size(20, 3);
  const TensorView input = ViewOf(request.input());
  std::vector<std::byte> expected(input.size_bytes());
  const auto first = Client::Create({.address = address()});
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_EQ((*first)->Forward(
                {.input = input, .num_groups = request.config().num_groups()},
                {.output = expected.data()}),
            absl::OkStatus());
  std::atomic<std::int64_t> retries = 0;
  const absl::Time start = absl::Now();
  Threads threads(kOverloadCallers, [&](int /*index*/) {
    const auto client =
        Client::Create({.address = address(), .timeout = absl::Minutes(5)});
    ASSERT_TRUE(client.ok()) << client.status();
    for (int i = 0; i < calls_each; ++i) {
      std::vector<std::byte> output(input.size_bytes());
      const absl::Status status = (*client)->Forward(
          {.input = input, .num_groups = request.config().num_groups()},
          {.output = output.data()});
      EXPECT_TRUE(status.ok()) << status;
      EXPECT_TRUE(output == expected) << "other bits than without load";
    }
    retries += (*client)->retries();
  });
  threads.Join();
  Print(absl::StrFormat("%d clients: %d calls succeeded after %d retries in %s",
                        kOverloadCallers, kOverloadCallers * calls_each,
                        retries.load(),
                        absl::FormatDuration(absl::Now() - start)));
  EXPECT_GT(retries, 0);
}

}  // namespace
}  // namespace groupnorm::load
