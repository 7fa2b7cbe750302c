#include "server/open_streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

namespace groupnorm {
namespace {

class CountingStream : public OpenStream {
 public:
  void OnPhase() override { ++told_; }
  int told() const { return told_; }

 private:
  int told_ = 0;
};

TEST(OpenStreams, RefuseBeyondTheLimitUntilOneLeaves) {
  OpenStreams streams("health watches", 2);
  const auto first = std::make_shared<CountingStream>();
  const auto second = std::make_shared<CountingStream>();
  const auto third = std::make_shared<CountingStream>();
  EXPECT_EQ(streams.Enter(first), absl::OkStatus());
  EXPECT_EQ(streams.Enter(second), absl::OkStatus());
  EXPECT_EQ(streams.Enter(third),
            absl::ResourceExhaustedError(
                "server: 2 health watches are open, the limit"));
  streams.Leave(third.get());  // It never entered: no place is free.
  EXPECT_EQ(streams.Enter(third).code(), absl::StatusCode::kResourceExhausted);
  streams.Leave(first.get());
  EXPECT_EQ(streams.Enter(third), absl::OkStatus());
}

TEST(OpenStreams, AreToldOfEveryPhaseUntilTheyLeave) {
  OpenStreams streams("health watches", 2);
  const auto stays = std::make_shared<CountingStream>();
  const auto leaves = std::make_shared<CountingStream>();
  EXPECT_EQ(streams.Enter(stays), absl::OkStatus());
  EXPECT_EQ(streams.Enter(leaves), absl::OkStatus());
  EXPECT_EQ(streams.phase(), ServerPhase::kServing);
  streams.SetPhase(ServerPhase::kLeaving);
  EXPECT_EQ(streams.phase(), ServerPhase::kLeaving);
  streams.Leave(leaves.get());
  streams.SetPhase(ServerPhase::kClosing);
  EXPECT_EQ(stays->told(), 2);
  EXPECT_EQ(leaves->told(), 1);
}

TEST(OpenStreams, RefuseWhenTheServerCloses) {
  OpenStreams streams("health watches", 2);
  const auto stream = std::make_shared<CountingStream>();
  streams.SetPhase(ServerPhase::kLeaving);
  EXPECT_EQ(streams.Enter(stream), absl::OkStatus());
  streams.SetPhase(ServerPhase::kClosing);
  EXPECT_EQ(
      streams.Enter(std::make_shared<CountingStream>()),
      absl::UnavailableError("server: draining, expected another server"));
}

// One that is destroyed between the change of phase and its turn is left out.
TEST(OpenStreams, DoNotKeepStreamsAlive) {
  OpenStreams streams("health watches", 2);
  auto stream = std::make_shared<CountingStream>();
  EXPECT_EQ(streams.Enter(stream), absl::OkStatus());
  const std::weak_ptr<CountingStream> watched = stream;
  stream.reset();
  EXPECT_TRUE(watched.expired());
  streams.SetPhase(ServerPhase::kLeaving);
}

}  // namespace
}  // namespace groupnorm
