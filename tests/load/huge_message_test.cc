// One message far beyond the limit, which gRPC begins to hold before it looks
// at its size, beside callers that keep to theirs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "groupnorm/client.h"
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
constexpr int kCallers = 4;

// Sends 600 MiB as one message.
grpc::Status SendHuge(const std::string& address) {
  const grpc::Slice block(std::string(6 * kMebibyte, 'x'));
  const std::vector<grpc::Slice> blocks(100, block);
  RawCall call(Connect(address), "Forward");
  call.Send(grpc::ByteBuffer(blocks.data(), blocks.size()));
  return call.Finish();
}

TEST(HugeMessage, IsHeldToTheQuotaBesideCallsThatSucceed) {
  ServerOptions options;
  options.workers = 2;
  options.max_message_bytes = 4 * kMebibyte;
  options.max_queued_bytes = 16 * kMebibyte;
  options.max_reading_calls = 4;
  const ServerProcess server(FlagsOf(options));
  const std::string address = server.addresses().front();
  const v1::ForwardRequest request = RequestOfBytes(kMebibyte / 4);
  const TensorView input = ViewOf(request.input());

  std::atomic<bool> stop = false;
  std::atomic<int> begun = 0;
  std::atomic<int> succeeded = 0;
  std::atomic<std::int64_t> retries = 0;
  Threads callers(kCallers, [&](int /*index*/) {
    const auto client =
        Client::Create({.address = address, .timeout = absl::Minutes(5)});
    ASSERT_TRUE(client.ok()) << client.status();
    std::vector<std::byte> output(input.size_bytes());
    for (bool first = true; first || !stop; first = false) {
      const absl::Status status = (*client)->Forward(
          {.input = input, .num_groups = request.config().num_groups()},
          {.output = output.data()});
      EXPECT_TRUE(status.ok()) << status;
      succeeded += status.ok() ? 1 : 0;
      if (first) ++begun;
    }
    retries += (*client)->retries();
  });
  while (begun < kCallers) absl::SleepFor(absl::Milliseconds(1));
  const int before = succeeded;
  EXPECT_THAT(SendHuge(address),
              FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED, ::testing::_));
  const std::int64_t first_peak = server.PeakResidentBytes();
  // More of them bring gRPC to its quota again and again.
  const int further = Size(20, 2);
  for (int i = 0; i < further; ++i) {
    EXPECT_THAT(SendHuge(address),
                FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED, ::testing::_));
  }
  const int beside = succeeded - before;
  stop = true;
  callers.Join();

  const MemoryBound bound = MemoryBoundOf(options);
  const std::int64_t first_bound = bound.transport + 32 * kMebibyte;
  // The threads that receive take them in turn, and each has an arena that
  // keeps what it had.
  const std::int64_t further_bound =
      bound.total() - bound.kept + (kReceivingThreads - 1) * bound.transport;
  const std::int64_t peak = server.PeakResidentBytes();
  Print(absl::StrFormat(
      "600 MiB against a limit of 4 MiB: %.1f MiB resident at the peak, bound "
      "%.1f MiB; after %d more %.1f MiB, bound %.1f MiB; beside them %d calls "
      "succeeded, %d times tried again",
      Mebibytes(first_peak), Mebibytes(first_bound), further, Mebibytes(peak),
      Mebibytes(further_bound), beside, retries.load()));
  EXPECT_GT(beside, 0);
  if (kMemoryIsMeasurable) {
    EXPECT_LE(first_peak, first_bound);
    EXPECT_LE(peak, further_bound);
  }
}

}  // namespace
}  // namespace groupnorm::load
