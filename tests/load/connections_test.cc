// Connections that do nothing, stop anywhere or never read, beside one that
// calls: it is served, and memory stays bounded.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/memory_bound.h"
#include "tests/load/http2_peer.h"
#include "tests/load/load.h"
#include "tests/testing/messages.h"
#include "tests/testing/sanitized.h"

namespace groupnorm::load {
namespace {

constexpr absl::Duration kHangs = absl::Minutes(2);

// What gRPC keeps for a connection, and the slack of its arenas.
constexpr std::int64_t kMaxConnectionBytes = 96 << 10;
constexpr std::int64_t kSlackBytes = 16 << 20;

// SETTINGS with INITIAL_WINDOW_SIZE = 0.
const std::string kNoRoom("\0\x04\0\0\0\0", 6);

// A server, good calls to it, and how its memory grows.
class ConnectionsTest : public ::testing::Test {
 protected:
  explicit ConnectionsTest(std::vector<std::string> flags = {})
      : server_(WithAddress(std::move(flags))),
        good_(address(), SmallForwardRequest()) {
    good_.Await(20);  // What the first calls cost is not counted.
    before_ = server_.ResidentBytes();
    descriptors_ = server_.CountDescriptors();
  }

  std::string address() const { return server_.addresses().front(); }

  std::vector<Http2Peer> Connect(int count) const {
    std::vector<Http2Peer> peers;
    peers.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) peers.emplace_back(address());
    return peers;
  }

  // Until the server has taken so many connections.
  void AwaitTaken(std::size_t peers) const {
    while (server_.CountDescriptors() <
           descriptors_ + static_cast<int>(peers)) {
      absl::SleepFor(absl::Milliseconds(10));
    }
  }

  // From now on ExpectServedAndBounded() looks at the most that there was.
  void WatchPeak() {
    server_.ResetPeak();
    watches_peak_ = true;
  }

  // Expects good calls to succeed while the peers are there, and the memory to
  // have grown by at most so much a peer.
  void ExpectServedAndBounded(std::size_t peers, std::int64_t bytes_each) {
    good_.Await(20);
    const std::int64_t grown = (watches_peak_ ? server_.PeakResidentBytes()
                                              : server_.ResidentBytes()) -
                               before_;
    Print(absl::StrFormat(
        "%d connections, resident memory grew by %.1f MiB%s, %.1f KiB each",
        peers, Mebibytes(grown), watches_peak_ ? " at most" : "",
        static_cast<double>(grown) / 1024 / static_cast<double>(peers)));
    if (kMemoryIsMeasurable) {
      EXPECT_LE(grown,
                kSlackBytes + static_cast<std::int64_t>(peers) * bytes_each);
    }
  }

 private:
  static std::vector<std::string> WithAddress(std::vector<std::string> flags) {
    RaiseDescriptorLimit();  // The server inherits it.
    flags.emplace_back("--listen=127.0.0.1:0");
    return flags;
  }

  ServerProcess server_;
  GoodCalls good_;
  std::int64_t before_ = 0;
  int descriptors_ = 0;
  bool watches_peak_ = false;
};

class ShortTimeoutsTest : public ConnectionsTest {
 protected:
  ShortTimeoutsTest()
      : ConnectionsTest({"--read-timeout=100ms", "--write-timeout=1s"}) {}
};

TEST_F(ConnectionsTest, ThatAreIdleAreCheap) {
  std::vector<Http2Peer> peers = Connect(Size(10'000, 500));
  for (Http2Peer& peer : peers) peer.SendPreface();
  for (Http2Peer& peer : peers) {
    ASSERT_TRUE(peer.Await(FrameType::kSettings, kHangs));
  }
  ExpectServedAndBounded(peers.size(), kMaxConnectionBytes);
}

TEST_F(ConnectionsTest, ThatNeverSayAWordAreCheap) {
  const std::vector<Http2Peer> peers = Connect(Size(2'000, 200));
  AwaitTaken(peers.size());
  ExpectServedAndBounded(peers.size(), kMaxConnectionBytes);
}

TEST_F(ConnectionsTest, ThatStopWithinAFrameAreCheap) {
  std::vector<Http2Peer> peers = Connect(Size(2'000, 200));
  for (Http2Peer& peer : peers) {
    peer.SendPreface();
    const std::string headers = CallHeaders("Forward");
    // Of the frame's length only the half follows.
    peer.Send(std::string(2, '\0') + static_cast<char>(headers.size()) +
              '\x01' + '\x04' + std::string("\0\0\0\1", 4) +
              headers.substr(0, headers.size() / 2));
    ASSERT_TRUE(peer.Await(FrameType::kSettings, kHangs));
  }
  ExpectServedAndBounded(peers.size(), kMaxConnectionBytes);
}

// A header block of 4 MiB in pieces that never ends, against gRPC's limit of 8
// KiB: the connection is closed. (gRPC holds a peer to its limit only once the
// peer has acknowledged it; ARCHITECTURE.md, Memory.)
TEST_F(ConnectionsTest, ThatSendHeadersWithoutEndAreBounded) {
  std::vector<Http2Peer> peers = Connect(Size(200, 20));
  const std::string field = HeaderField("bomb", std::string(16'000, 'x'));
  for (Http2Peer& peer : peers) ASSERT_TRUE(peer.Handshake(kHangs));
  WatchPeak();
  for (Http2Peer& peer : peers) {
    peer.Send(Frame{FrameType::kHeaders, 0, 1, CallHeaders("Forward")});
  }
  for (int i = 0; i < 256; ++i) {
    for (Http2Peer& peer : peers) {
      peer.Send(Frame{FrameType::kContinuation, 0, 1, field});
    }
  }
  for (Http2Peer& peer : peers) EXPECT_TRUE(peer.AwaitEnd(kHangs));
  ExpectServedAndBounded(peers.size(), kMaxConnectionBytes);
}

// One entry of 4,000 bytes in HPACK's table, then named 16,000 times by a byte
// each: 61 MiB in 16 KiB.
TEST_F(ConnectionsTest, ThatRepeatAPackedHeaderAreBounded) {
  std::vector<Http2Peer> peers = Connect(Size(200, 20));
  std::string entry = HeaderField("bomb", std::string(3'900, 'x'));
  entry[0] = '\x40';  // Literal with incremental indexing.
  const std::string block = entry + std::string(12'000, '\xbe');
  for (Http2Peer& peer : peers) ASSERT_TRUE(peer.Handshake(kHangs));
  WatchPeak();
  for (Http2Peer& peer : peers) {
    peer.Send(Frame{FrameType::kHeaders, 0, 1, CallHeaders("Forward")});
    peer.Send(Frame{FrameType::kContinuation, kEndHeaders, 1, block});
  }
  for (Http2Peer& peer : peers) {
    EXPECT_TRUE(peer.Await(FrameType::kResetStream, kHangs));
  }
  ExpectServedAndBounded(peers.size(), kMaxConnectionBytes);
}

// Of what the prefix promises only a part comes. There are more peers than
// reading slots: each has its turn, and is sent away.
TEST_F(ShortTimeoutsTest, PeersThatStopSendingLeaveTheirPlaces) {
  constexpr std::uint32_t kPromised = 16 << 10;
  std::vector<Http2Peer> peers = Connect(Size(200, 60));
  for (std::size_t i = 0; i < peers.size(); ++i) {
    peers[i].SendPreface();
    peers[i].SendCall(1, "Forward");
    // Of some a byte, of others half of it.
    const std::string body(i % 2 == 0 ? 1 : kPromised / 2, 'x');
    peers[i].Send(Frame{FrameType::kData, 0, 1, GrpcMessage(kPromised, body)});
  }
  ExpectServedAndBounded(peers.size(), kMaxConnectionBytes);
  for (Http2Peer& peer : peers) {
    std::optional<Frame> answer = peer.Read(kHangs);
    while (answer.has_value() && answer->type != FrameType::kHeaders) {
      answer = peer.Read(kHangs);
    }
    ASSERT_TRUE(answer.has_value());
    // gRPC does not compress texts.
    EXPECT_THAT(answer->payload,
                ::testing::HasSubstr("deadline: the request has not arrived "
                                     "within 100ms (--read-timeout)"));
  }
}

// A small request for a response of 280 KiB, of which the 64 KiB that HTTP/2
// allows at first are sent, and no more are ever allowed.
TEST_F(ShortTimeoutsTest, PeersThatNeverReadLoseTheirResponses) {
  constexpr std::int64_t kGroups = 15'000;
  constexpr std::int64_t kResponseBytes = kGroups * (2 + 8 + 8);
  constexpr std::size_t kFrameBytes = 16 << 10;
  v1::ForwardRequest request;
  request.mutable_config()->set_num_groups(kGroups);
  *request.mutable_input() = RandomTensor(DataType::kBfloat16, {1, kGroups}, 1);
  const std::string body = request.SerializeAsString();
  const std::string message =
      GrpcMessage(static_cast<std::uint32_t>(body.size()), body);
  std::vector<Http2Peer> peers = Connect(Size(200, 60));
  for (Http2Peer& peer : peers) {
    peer.SendPreface();
    peer.SendCall(1, "Forward");
    for (std::size_t at = 0; at < message.size(); at += kFrameBytes) {
      peer.Send(Frame{FrameType::kData, 0, 1, message.substr(at, kFrameBytes)});
    }
    ASSERT_TRUE(peer.Await(FrameType::kData, kHangs));
  }
  // The results, and what the pool keeps of the memory of some computations.
  ExpectServedAndBounded(peers.size(),
                         kMaxConnectionBytes + 2 * kResponseBytes);
  for (Http2Peer& peer : peers) {
    EXPECT_TRUE(peer.Await(FrameType::kResetStream, kHangs));
  }
}

// HTTP/2 lets a peer make no room at all for answers. Those of health checks
// and of GetServerInfo, which need no place in the queue, then end as well.
TEST_F(ShortTimeoutsTest, PeersThatLeaveNoRoomForAnswersLoseThem) {
  std::vector<Http2Peer> peers = Connect(Size(200, 60));
  for (std::size_t i = 0; i < peers.size(); ++i) {
    peers[i].SendPreface();
    peers[i].Send(Frame{FrameType::kSettings, 0, 0, kNoRoom});
    peers[i].SendCall(
        1, i % 2 == 0 ? "GetServerInfo" : "/grpc.health.v1.Health/Check");
    peers[i].Send(Frame{FrameType::kData, 0, 1, GrpcMessage(0, "")});
  }
  for (Http2Peer& peer : peers) {
    EXPECT_TRUE(peer.Await(FrameType::kResetStream, kHangs));
  }
  ExpectServedAndBounded(peers.size(), kMaxConnectionBytes);
}

// Reflection streams whose answers have no room are displaced by newer ones,
// and end then, whatever their peers do.
TEST_F(ShortTimeoutsTest, PeersThatLeaveNoRoomLoseTheirStreamsToNewerOnes) {
  const std::string question("\x3a\0", 2);  // list_services: ""
  std::vector<Http2Peer> peers = Connect(kMaxReflections + Size(100, 20));
  for (Http2Peer& peer : peers) {
    peer.SendPreface();
    peer.Send(Frame{FrameType::kSettings, 0, 0, kNoRoom});
    peer.SendCall(1,
                  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    peer.Send(Frame{FrameType::kData, 0, 1, GrpcMessage(2, question)});
    // The answer's headers, which need no room: it has a place, and keeps it.
    ASSERT_TRUE(peer.Await(FrameType::kHeaders, kHangs));
  }
  const auto displaced = peers.size() - kMaxReflections;
  for (std::size_t i = 0; i < displaced; ++i) {
    EXPECT_TRUE(peers[i].Await(FrameType::kResetStream, kHangs));
  }
  ExpectServedAndBounded(peers.size(), kMaxConnectionBytes);
}

}  // namespace
}  // namespace groupnorm::load
