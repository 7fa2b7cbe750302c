// Peers that stop reading from their sockets, which over a UNIX socket nothing
// but the server itself ever notices.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

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

// A request of 60 KiB, for a response of 540 KiB: more than a UNIX socket
// holds.
v1::ForwardRequest RequestForMore() {
  constexpr std::int64_t kGroups = 30'000;
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(kGroups);
  *request.mutable_input() = RandomTensor(DataType::kBfloat16, {1, kGroups}, 1);
  return request;
}

// Calls, and leaves the response in the socket, though HTTP/2 would let the
// server send all of it.
void CallAndNeverRead(Http2Peer& peer) {
  constexpr std::size_t kFrameBytes = 16 << 10;
  const std::string body = RequestForMore().SerializeAsString();
  const std::string message =
      GrpcMessage(static_cast<std::uint32_t>(body.size()), body);
  peer.SendPrefaceWithWindow(64 << 20);
  ASSERT_TRUE(peer.SendCall(1, "Forward"));
  for (std::size_t at = 0; at < message.size(); at += kFrameBytes) {
    ASSERT_TRUE(peer.Send(
        Frame{FrameType::kData, 0, 1, message.substr(at, kFrameBytes)}));
  }
}

// Between them they have every place in the queue.
TEST(PeersThatDoNotReadFromAUnixSocket, LoseTheirConnections) {
  constexpr int kPeers = 4;
  const std::string path = UniquePath(".sock");
  const ServerProcess server({"--listen=unix:" + path,
                              absl::StrFormat("--max-queued-calls=%d", kPeers),
                              "--write-timeout=1s", "--log-level=debug"});
  const std::string address = server.addresses().front();
  const int descriptors = server.CountDescriptors();
  std::vector<Http2Peer> peers;
  for (int i = 0; i < kPeers; ++i) {
    CallAndNeverRead(peers.emplace_back(address));
  }
  server.AwaitErrors("admitted", kPeers);
  const absl::Time start = absl::Now();
  const auto channel = Connect(address);
  v1::ForwardResponse response;
  const auto is_refused = [&] {
    return CallForward(channel, SmallForwardRequest(), &response)
               .error_code() == grpc::StatusCode::UNAVAILABLE;
  };
  EXPECT_TRUE(is_refused());
  while (is_refused()) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_THAT(CallForward(channel, SmallForwardRequest(), &response),
              Succeeds());
  const absl::Duration free = absl::Now() - start;
  Print(
      absl::StrFormat("a place was free after %s", absl::FormatDuration(free)));
  if (TimesAreMeasurable()) {
    EXPECT_LE(free, absl::Seconds(2));  // The timeout, and a second for it all.
  }
  // Only then: what reads again is left alone. The good calls' connection
  // stays.
  while (server.CountDescriptors() > descriptors + 1) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  for (Http2Peer& peer : peers) EXPECT_TRUE(peer.AwaitEnd(kHangs));
}

TEST(PeersThatDoNotReadFromAUnixSocket, DoNotKeepTheServerFromEnding) {
  const std::string path = UniquePath(".sock");
  ServerProcess server({"--listen=unix:" + path, "--write-timeout=1h",
                        "--drain-delay=0s", "--drain-timeout=1s",
                        "--log-level=debug"});
  Http2Peer peer(server.addresses().front());
  CallAndNeverRead(peer);
  server.AwaitErrors("first task", 1);
  server.Signal(SIGTERM);
  const absl::Time start = absl::Now();
  EXPECT_EQ(server.Wait(), 1);  // Its call was cancelled.
  const absl::Duration taken = absl::Now() - start;
  Print(absl::StrFormat("gone after %s", absl::FormatDuration(taken)));
  if (TimesAreMeasurable()) {
    // --drain-timeout, a second until connections are closed, one for it all.
    EXPECT_LE(taken, absl::Seconds(3));
  }
}

}  // namespace
}  // namespace groupnorm::load
