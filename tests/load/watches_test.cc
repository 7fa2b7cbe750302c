// As many health watches as may be open, and one more.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "server/memory_bound.h"
#include "tests/load/load.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/raw_call.h"
#include "tests/testing/sanitized.h"
#include "tests/testing/test_server.h"

namespace groupnorm::load {
namespace {

constexpr char kWatch[] = "/grpc.health.v1.Health/Watch";

// gRPC allows so many calls on a connection with the default queue.
constexpr int kOnEachConnection = 256;

TEST(Watches, AreBoundedInNumberAndMemory) {
  const ServerProcess server({"--listen=127.0.0.1:0"});
  const std::string address = server.addresses().front();
  GoodCalls good(address, SmallForwardRequest());
  good.Await(20);  // What the first calls cost is not counted.
  const std::int64_t before = server.ResidentBytes();
  std::vector<std::unique_ptr<RawCall>> watches;
  std::shared_ptr<grpc::Channel> channel;
  for (int i = 0; i < kMaxWatches; ++i) {
    if (i % kOnEachConnection == 0) channel = Connect(address);
    watches.push_back(std::make_unique<RawCall>(channel, kWatch));
    ASSERT_TRUE(watches.back()->Send(std::string()));
  }
  for (const auto& watch : watches) watch->AwaitReply();
  const std::int64_t grown = server.ResidentBytes() - before;

  RawCall refused(Connect(address), kWatch);
  EXPECT_THAT(refused.Finish(),
              FailsWith(grpc::StatusCode::RESOURCE_EXHAUSTED,
                        absl::StrFormat("server: %d health watches are open, "
                                        "the limit",
                                        kMaxWatches)));
  good.Await(20);
  Print(absl::StrFormat("%d watches, resident memory grew by %.1f KiB each",
                        kMaxWatches,
                        static_cast<double>(grown) / 1024 / kMaxWatches));
  if (kMemoryIsMeasurable) {
    EXPECT_LE(grown, kMaxWatches * kWatchOverheadBytes);
  }
}

}  // namespace
}  // namespace groupnorm::load
