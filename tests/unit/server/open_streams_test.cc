#include "server/open_streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "tests/unit/server/stand_ins.h"

namespace groupnorm {
namespace {

TEST(OpenStreams, RefuseBeyondTheLimitUntilOneLeaves) {
  OpenStreams streams("health watches", 2);
  const auto first = std::make_shared<CountingStream>();
  const auto second = std::make_shared<CountingStream>();
  const auto third = std::make_shared<CountingStream>();
  const int third_connection = 0;
  EXPECT_EQ(streams.Enter(first, &kOwn), absl::OkStatus());
  EXPECT_EQ(streams.Enter(second, &kOther), absl::OkStatus());
  EXPECT_EQ(streams.Enter(third, &third_connection),
            absl::ResourceExhaustedError(
                "server: 2 health watches are open, the limit"));
  streams.Leave(third.get());  // It never entered: no place is free.
  EXPECT_EQ(streams.Enter(third, &third_connection).code(),
            absl::StatusCode::kResourceExhausted);
  streams.Leave(first.get());
  EXPECT_EQ(streams.Enter(third, &third_connection), absl::OkStatus());
}

TEST(OpenStreams, GiveOneConnectionHalfOfThem) {
  OpenStreams streams("health watches", 5);
  const auto first = std::make_shared<CountingStream>();
  const auto second = std::make_shared<CountingStream>();
  const auto third = std::make_shared<CountingStream>();
  EXPECT_EQ(streams.Enter(first, &kOwn), absl::OkStatus());
  EXPECT_EQ(streams.Enter(second, &kOwn), absl::OkStatus());
  EXPECT_EQ(streams.Enter(third, &kOwn),
            absl::ResourceExhaustedError("server: 2 health watches of this "
                                         "connection are open, the limit"));
  EXPECT_EQ(streams.Enter(third, &kOther), absl::OkStatus());
  streams.Leave(first.get());
  EXPECT_EQ(streams.Enter(first, &kOwn), absl::OkStatus());
}

TEST(OpenStreams, GiveThePlaceOfTheOldestToANewerOne) {
  OpenStreams streams("health checks", 2,
                      OpenStreams::WhenFull::kDisplaceOldest);
  const auto first = std::make_shared<CountingStream>();
  const auto second = std::make_shared<CountingStream>();
  const auto third = std::make_shared<CountingStream>();
  EXPECT_EQ(streams.Enter(second, &kOwn), absl::OkStatus());
  EXPECT_EQ(streams.Enter(first, &kOther), absl::OkStatus());
  // Of its own connection's it may not have another's.
  EXPECT_EQ(streams.Enter(third, &kOther),
            absl::ResourceExhaustedError("server: 1 health checks of this "
                                         "connection are open, the limit"));
  const int third_connection = 0;
  EXPECT_EQ(streams.Enter(third, &third_connection), absl::OkStatus());
  EXPECT_EQ(second->displaced(),
            absl::ResourceExhaustedError(
                "server: 2 health checks are open, the limit"));
  EXPECT_EQ(first->displaced(), absl::OkStatus());
  streams.Leave(second.get());  // It has no place any more.
  EXPECT_EQ(streams.Enter(second, &kOwn), absl::OkStatus());
  EXPECT_NE(first->displaced(), absl::OkStatus());
  EXPECT_EQ(third->displaced(), absl::OkStatus());
  streams.SetPhase(ServerPhase::kLeaving);
  EXPECT_EQ(first->told(), 0);
  EXPECT_EQ(second->told(), 1);
}

TEST(OpenStreams, GiveEveryConnectionOneAtLeast) {
  OpenStreams streams("health watches", 1);
  const auto stream = std::make_shared<CountingStream>();
  EXPECT_EQ(streams.Enter(stream, &kOwn), absl::OkStatus());
  streams.Leave(stream.get());
  EXPECT_EQ(streams.Enter(stream, &kOther), absl::OkStatus());
}

TEST(OpenStreams, AreToldOfEveryPhaseUntilTheyLeave) {
  OpenStreams streams("health watches", 2);
  const auto stays = std::make_shared<CountingStream>();
  const auto leaves = std::make_shared<CountingStream>();
  EXPECT_EQ(streams.Enter(stays, &kOwn), absl::OkStatus());
  EXPECT_EQ(streams.Enter(leaves, &kOther), absl::OkStatus());
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
  EXPECT_EQ(streams.Enter(stream, &kOwn), absl::OkStatus());
  streams.SetPhase(ServerPhase::kClosing);
  EXPECT_EQ(
      streams.Enter(std::make_shared<CountingStream>(), &kOther),
      absl::UnavailableError("server: draining, expected another server"));
}

// One that is destroyed between the change of phase and its turn is left out.
TEST(OpenStreams, DoNotKeepStreamsAlive) {
  OpenStreams streams("health watches", 2);
  auto stream = std::make_shared<CountingStream>();
  EXPECT_EQ(streams.Enter(stream, &kOwn), absl::OkStatus());
  const std::weak_ptr<CountingStream> watched = stream;
  stream.reset();
  EXPECT_TRUE(watched.expired());
  streams.SetPhase(ServerPhase::kLeaving);
}

}  // namespace
}  // namespace groupnorm
