// Many malformed calls from many connections beside good ones.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "tests/load/load.h"
#include "tests/load/malformed_calls.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/sanitized.h"
#include "tests/testing/test_server.h"

namespace groupnorm::load {
namespace {

constexpr int kThreads = 8;
constexpr int kConnectionsEach = 4;
constexpr std::int64_t kMaxGrowthBytes = 16 << 20;

void Expect(const MalformedCall& malformed,
            const std::shared_ptr<grpc::Channel>& channel) {
  RawCall call(channel, malformed.method);
  for (const std::string& message : malformed.messages) {
    if (!call.Send(message)) break;  // The first has been answered already.
  }
  call.EndRequest();
  EXPECT_THAT(
      call.Finish(),
      FailsWith(malformed.code, ::testing::StartsWith(malformed.text_start)))
      << malformed.method << " "
      << (malformed.messages.empty()
              ? "without a message"
              : absl::CHexEscape(malformed.messages[0].substr(0, 200)));
}

// Sends `count` calls over all connections.
void SendMalformed(const std::string& address, int count, std::uint64_t seed) {
  const Threads threads(kThreads, [&](int index) {
    std::vector<std::shared_ptr<grpc::Channel>> channels(kConnectionsEach);
    for (auto& channel : channels) {
      channel = Connect(address);
      // Under ThreadSanitizer connect() may leave a wrong errno, which gRPC
      // takes for a failure; it tries again.
      EXPECT_TRUE(channel->WaitForConnected(std::chrono::system_clock::now() +
                                            std::chrono::seconds(30)));
    }
    MalformedCalls calls(seed + static_cast<std::uint64_t>(index));
    for (int i = 0; i < count / kThreads; ++i) {
      Expect(calls.Next(), channels[i % channels.size()]);
    }
  });
}

TEST(MalformedCalls, GetTheirCodesAndCostNoMemory) {
  const int count = Size(20'000, 2'400);
  const ServerProcess server({"--listen=127.0.0.1:0"});
  const std::string address = server.addresses().front();
  GoodCalls good(address, SmallForwardRequest());
  SendMalformed(address, count / 10, 1);
  const std::int64_t before = server.ResidentBytes();
  SendMalformed(address, count - count / 10, 1000);
  const std::int64_t after = server.ResidentBytes();
  const int good_calls = good.Stop();
  Print(absl::StrFormat(
      "%d malformed calls over %d connections, %d good ones; resident "
      "%.1f MiB after the first tenth, %.1f MiB at the end",
      count, kThreads * kConnectionsEach, good_calls, Mebibytes(before),
      Mebibytes(after)));
  EXPECT_GT(good_calls, 0);
  if (kMemoryIsMeasurable) {
    EXPECT_LE(after - before, kMaxGrowthBytes);
  }
}

}  // namespace
}  // namespace groupnorm::load
