// Peers that are gone, though nobody closed their connections.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/load/http2_peer.h"
#include "tests/load/load.h"
#include "tests/testing/call_outcome.h"
#include "tests/testing/messages.h"
#include "tests/testing/test_server.h"

namespace groupnorm::load {
namespace {

constexpr absl::Duration kHangs = absl::Minutes(2);

// A ping after 30 s of silence, 20 s for the answer, and as long as the timers
// of both ends may be late.
constexpr absl::Duration kLongestHold = absl::Seconds(55);

// Says that a message of 1 MiB comes, of which half of what may travel unasked
// does.
void BeginCall(Http2Peer& peer) {
  ASSERT_TRUE(peer.Handshake(kHangs));
  ASSERT_TRUE(peer.SendCall(1, "Forward"));
  const std::string begin(16 << 10, 'x');
  ASSERT_TRUE(
      peer.Send(Frame{FrameType::kData, 0, 1, GrpcMessage(1 << 20, "")}));
  ASSERT_TRUE(peer.Send(Frame{FrameType::kData, 0, 1, begin}));
  ASSERT_TRUE(peer.Send(Frame{FrameType::kData, 0, 1, begin}));
}

// One whose machine is gone, as far as the server can see: no packet is
// answered. The other's kernel answers for a process that is stopped. Between
// them they have all reading slots, for an hour as far as the timeout goes.
TEST(HalfOpenConnections, AreClosedAndLeaveWhatTheyHeld) {
  if (Size(1, 0) == 0) {
    GTEST_SKIP() << "takes a minute; GROUPNORM_LOAD=full runs it";
  }
  const ServerProcess server({"--listen=127.0.0.1:0", "--max-reading-calls=2",
                              "--read-timeout=1h", "--log-level=debug"});
  const std::string address = server.addresses().front();
  const int descriptors = server.CountDescriptors();
  Http2Peer vanished(address);
  Http2Peer stopped(address);
  BeginCall(vanished);
  BeginCall(stopped);
  server.AwaitErrors("Forward from ipv4:127.0.0.1:", 2);
  vanished.Vanish();
  const absl::Time start = absl::Now();
  EXPECT_EQ(server.CountDescriptors(), descriptors + 2);

  const auto channel = Connect(address);
  v1::ForwardResponse response;
  EXPECT_THAT(CallForward(channel, SmallForwardRequest(), &response),
              Succeeds());
  const absl::Duration slot = absl::Now() - start;
  EXPECT_TRUE(stopped.AwaitEnd(kHangs));
  // The good call's connection is the one that is left.
  while (server.CountDescriptors() > descriptors + 1) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  const absl::Duration connections = absl::Now() - start;
  Print(absl::StrFormat(
      "a reading slot was free after %.1f s, both connections after %.1f s",
      absl::ToDoubleSeconds(slot), absl::ToDoubleSeconds(connections)));
  if (TimesAreMeasurable()) {
    EXPECT_LE(slot, kLongestHold);
    EXPECT_LE(connections, kLongestHold);
  }
}

}  // namespace
}  // namespace groupnorm::load
