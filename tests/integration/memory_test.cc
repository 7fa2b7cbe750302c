#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/memory_bound.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/sanitized.h"
#include "tests/testing/server_process.h"
#include "tests/testing/test_server.h"

namespace groupnorm {
namespace {

constexpr std::int64_t kMebibyte = 1 << 20;

// Of a call that waits for a reading slot: what may come of its body, and the
// terms of docs/adr/0011 for itself and for its connection.
constexpr std::int64_t kParkedCallBytes =
    kLookaheadBytes + kCallOverheadBytes + kConnectionOverheadBytes;
constexpr std::int64_t kSlackBytes = 16 * kMebibyte;

// A server with limits so narrow that what it should not hold would show.
class MemoryTest : public ::testing::Test {
 protected:
  static ServerOptions Settings() {
    return {.workers = 2,
            .max_message_bytes = 9 * kMebibyte,
            .max_queued_calls = 128,
            .max_queued_bytes = 40 * kMebibyte,
            .max_reading_calls = 2};
  }

  MemoryTest()
      : server_({"--listen=127.0.0.1:0", "--workers=2",
                 "--max-message-bytes=9MiB", "--max-queued-calls=128",
                 "--max-queued-bytes=40MiB", "--max-reading-calls=2"}) {}

  std::shared_ptr<grpc::Channel> NewConnection() {
    return Connect(server_.addresses().front());
  }

  std::int64_t ResidentBytes() const { return server_.ResidentBytes(); }

  void ExpectPeakWithin(std::int64_t bound) {
    const std::int64_t peak = server_.PeakResidentBytes();
    std::cout << "peak " << peak / kMebibyte << " MiB, bound "
              << bound / kMebibyte << " MiB\n";
    if (kMemoryIsMeasurable) {
      EXPECT_LE(peak, bound);
    }
  }

 private:
  ServerProcess server_;
};

std::string ForwardOf8MiB() {
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(4);
  *request.mutable_input() =
      RandomTensor(DataType::kFloat32, {1, 8, 1 << 18}, 1);
  return request.SerializeAsString();
}

TEST_F(MemoryTest, OfParkedCallersIsBounded) {
  constexpr int kCallers = 40;
  const std::string request = ForwardOf8MiB();
  RawCall first(NewConnection(), "Forward");
  RawCall second(NewConnection(), "Forward");
  const std::int64_t before = ResidentBytes();
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  std::vector<std::thread> callers;
  for (int i = 0; i < kCallers; ++i) {
    channels.push_back(NewConnection());
    callers.emplace_back([channel = channels.back(), &request] {
      RawCall call(channel, "Forward");
      EXPECT_TRUE(call.Send(request));
      EXPECT_THAT(call.Finish(), Succeeds());
    });
  }
  // Answers over the same connections: by then as much of the bodies has come
  // as the server lets come.
  for (int round = 0; round < 20; ++round) {
    for (const auto& channel : channels) {
      grpc::ClientContext context;
      v1::GetServerInfoResponse response;
      EXPECT_THAT(v1::GroupNormService::NewStub(channel)->GetServerInfo(
                      &context, {}, &response),
                  Succeeds());
    }
  }
  // What a call and its connection cost, and the slack of arenas: a tenth of
  // the bodies of all.
  ExpectPeakWithin(before + kCallers * kParkedCallBytes + kSlackBytes);
  first.Cancel();
  second.Cancel();
  for (std::thread& caller : callers) caller.join();
  ExpectPeakWithin(MemoryBoundOf(Settings()).total());
}

}  // namespace
}  // namespace groupnorm
