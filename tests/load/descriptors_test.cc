// More connections than the process may have files open.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "tests/load/http2_peer.h"
#include "tests/load/load.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/test_server.h"

namespace groupnorm::load {
namespace {

constexpr absl::Duration kHangs = absl::Minutes(1);

// How many of `count` new connections the server keeps; it closes the others.
// Those it keeps are added to `kept`.
int Keep(const std::string& address, int count, std::vector<Http2Peer>& kept) {
  const std::size_t before = kept.size();
  for (int i = 0; i < count; ++i) {
    Http2Peer peer(address);
    peer.SendPreface();
    if (peer.Await(FrameType::kSettings, kHangs)) {
      kept.push_back(std::move(peer));
    }
  }
  return static_cast<int>(kept.size() - before);
}

TEST(Descriptors, RunOutAndComeBackWithoutHarm) {
  constexpr int kFree = 20;
  const int count = Size(2'000, 100);
  const ServerProcess server({"--listen=127.0.0.1:0"});
  const std::string address = server.addresses().front();
  GoodCalls good(address, SmallForwardRequest());
  good.Await(20);
  const int open = server.CountDescriptors();
  server.LimitDescriptors(open + kFree);

  std::vector<Http2Peer> peers;
  const int kept = Keep(address, count, peers);
  EXPECT_GE(kept, kFree / 2);
  EXPECT_LE(kept, 2 * kFree);  // The limit is on numbers, which have gaps.
  server.AwaitErrors("out of file descriptors", 1);
  good.Await(20);

  peers.clear();
  while (server.CountDescriptors() > open + kFree / 2) {
  }
  const int again = Keep(address, kFree / 2, peers);
  EXPECT_EQ(again, kFree / 2);
  const auto channel = Connect(address);
  v1::ForwardResponse response;
  EXPECT_THAT(CallForward(channel, SmallForwardRequest(), &response),
              Succeeds());
  Print(absl::StrFormat(
      "%d of %d connections were kept with %d descriptors free, %d of %d once "
      "they had closed; %d good calls beside them",
      kept, count, kFree, again, kFree / 2, good.Stop()));
}

}  // namespace
}  // namespace groupnorm::load
