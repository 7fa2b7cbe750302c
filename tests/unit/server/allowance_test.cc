#include "server/allowance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace groupnorm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Calls are numbers; the first digit of two says whose connection they are on.
class AllowanceTest : public ::testing::Test {
 protected:
  ConnectionId ConnectionOfCall(int call) {
    return &places[static_cast<std::size_t>(call / 10)];
  }
  const void* Key(int call) { return &places[static_cast<std::size_t>(call)]; }
  bool Take(Allowance& allowance, int call, std::int64_t units = 1) {
    return allowance.TakeOrWait(ConnectionOfCall(call), Key(call), units,
                                [this, call] { granted.push_back(call); });
  }
  void Release(Allowance& allowance, int call, std::int64_t units = 1) {
    allowance.Release(ConnectionOfCall(call), units);
  }

  std::array<char, 100> places = {};
  std::vector<int> granted;
};

TEST_F(AllowanceTest, IsTakenWhileThereIsSome) {
  Allowance slots(2);
  EXPECT_TRUE(Take(slots, 10));
  EXPECT_TRUE(Take(slots, 20));
  EXPECT_FALSE(Take(slots, 30));
  EXPECT_EQ(slots.waiting(), 1);
  EXPECT_THAT(granted, IsEmpty());
  Release(slots, 10);
  EXPECT_THAT(granted, ElementsAre(30));
  EXPECT_EQ(slots.waiting(), 0);
}

TEST_F(AllowanceTest, GivesTheCallsOfAConnectionTheirTurnsInTheOrderOfArrival) {
  Allowance slots(1);
  EXPECT_TRUE(Take(slots, 10));
  for (const int call : {11, 12, 13}) EXPECT_FALSE(Take(slots, call));
  for (int i = 0; i < 3; ++i) Release(slots, 10);
  EXPECT_THAT(granted, ElementsAre(11, 12, 13));
}

TEST_F(AllowanceTest, GivesConnectionsTurns) {
  Allowance slots(1);
  EXPECT_TRUE(Take(slots, 10));
  for (const int call : {11, 12, 13, 14, 20, 21, 30}) {
    EXPECT_FALSE(Take(slots, call));
  }
  for (int i = 0; i < 7; ++i) Release(slots, i == 0 ? 10 : granted.back());
  EXPECT_THAT(granted, ElementsAre(20, 30, 11, 21, 12, 13, 14));
}

TEST_F(AllowanceTest, GivesOneConnectionAtMostHalf) {
  Allowance slots(4);
  EXPECT_TRUE(Take(slots, 10));
  EXPECT_TRUE(Take(slots, 11));
  EXPECT_FALSE(Take(slots, 12));
  EXPECT_TRUE(Take(slots, 20));
  EXPECT_TRUE(Take(slots, 21));
  EXPECT_FALSE(Take(slots, 22));
  EXPECT_FALSE(Take(slots, 30));
  Release(slots, 10);
  EXPECT_THAT(granted, ElementsAre(30));
  Release(slots, 11);
  EXPECT_THAT(granted, ElementsAre(30, 12));
}

TEST_F(AllowanceTest, GivesOneCallWhateverThereIs) {
  Allowance bytes(100);
  EXPECT_TRUE(Take(bytes, 10, 100));
  EXPECT_FALSE(Take(bytes, 20, 1));
  Release(bytes, 10, 100);
  EXPECT_THAT(granted, ElementsAre(20));
  EXPECT_FALSE(Take(bytes, 30, 100));
  Release(bytes, 20, 1);
  EXPECT_THAT(granted, ElementsAre(20, 30));
}

TEST_F(AllowanceTest, LetsNobodyOvertakeTheCallWhoseTurnItIs) {
  Allowance bytes(100);
  EXPECT_TRUE(Take(bytes, 10, 40));
  EXPECT_FALSE(Take(bytes, 20, 80));
  EXPECT_FALSE(Take(bytes, 30, 1));
  EXPECT_FALSE(Take(bytes, 21, 1));
  Release(bytes, 10, 40);
  EXPECT_THAT(granted, ElementsAre(20, 30));
  Release(bytes, 20, 80);
  EXPECT_THAT(granted, ElementsAre(20, 30, 21));
}

TEST_F(AllowanceTest, LetsOthersPassACallThatWaitsForItsConnectionsHalf) {
  Allowance bytes(100);
  EXPECT_TRUE(Take(bytes, 10, 40));
  EXPECT_FALSE(Take(bytes, 11, 11));
  EXPECT_TRUE(Take(bytes, 20, 60));
}

TEST_F(AllowanceTest, IsNotGrantedToACallThatLeft) {
  Allowance slots(1);
  EXPECT_TRUE(Take(slots, 10));
  EXPECT_FALSE(Take(slots, 11));
  EXPECT_FALSE(Take(slots, 20));
  slots.Leave(Key(11));
  Release(slots, 10);
  EXPECT_THAT(granted, ElementsAre(20));
}

TEST_F(AllowanceTest, IsGrantedToThoseForWhomOneThatLeftMadeRoom) {
  Allowance bytes(100);
  EXPECT_TRUE(Take(bytes, 10, 40));
  EXPECT_FALSE(Take(bytes, 20, 80));
  EXPECT_FALSE(Take(bytes, 21, 30));
  EXPECT_FALSE(Take(bytes, 30, 30));
  bytes.Leave(Key(20));
  EXPECT_THAT(granted, ElementsAre(21, 30));
}

TEST_F(AllowanceTest, StaysAsItIsWhereACallLeavesThatDoesNotWait) {
  Allowance slots(1);
  EXPECT_TRUE(Take(slots, 10));
  slots.Leave(Key(10));
  slots.Leave(Key(11));
  EXPECT_FALSE(Take(slots, 20));
}

TEST_F(AllowanceTest, MayBeReleasedByTheCallThatWasJustGrantedSome) {
  Allowance slots(1);
  EXPECT_TRUE(Take(slots, 10));
  EXPECT_FALSE(slots.TakeOrWait(ConnectionOfCall(20), Key(20), 1,
                                [&] { Release(slots, 20); }));
  EXPECT_FALSE(Take(slots, 30));
  Release(slots, 10);
  EXPECT_THAT(granted, ElementsAre(30));
}

TEST_F(AllowanceTest, LetsGoOfTheCallThatLeft) {
  Allowance slots(1);
  EXPECT_TRUE(Take(slots, 10));
  auto call = std::make_shared<int>(0);
  const std::weak_ptr<int> alive = call;
  EXPECT_FALSE(
      slots.TakeOrWait(ConnectionOfCall(20), Key(20), 1, [call] { ++*call; }));
  call.reset();
  slots.Leave(Key(20));
  EXPECT_TRUE(alive.expired());
}

// For the thread sanitizer, and for what is left over in the end.
TEST_F(AllowanceTest, IsWholeAgainAfterThreadsTookAndLeft) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 2000;
  Allowance bytes(8);
  std::atomic<std::int64_t> held = 0;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const ConnectionId connection = &places[static_cast<std::size_t>(i / 2)];
      const std::int64_t units = 1 + i;
      for (int round = 0; round < kRounds; ++round) {
        const auto done = std::make_shared<std::atomic<bool>>(false);
        const auto use = [&held, &bytes, connection, units, done] {
          EXPECT_LE(held += units, 8);
          held -= units;
          bytes.Release(connection, units);
          *done = true;
        };
        if (bytes.TakeOrWait(connection, done.get(), units, use)) {
          use();
        } else if (round % 2 == 0) {
          bytes.Leave(done.get());
        } else {
          while (!*done) std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(held, 0);
  EXPECT_EQ(bytes.waiting(), 0);
  EXPECT_TRUE(Take(bytes, 50, 8));
}

// However many give theirs back at once: the stack does not grow with them.
TEST_F(AllowanceTest, EndsWaitsOneAfterTheOther) {
  constexpr int kCalls = 100'000;
  Allowance slots(1);
  const std::vector<char> calls(kCalls);
  const ConnectionId connection = &slots;
  int depth = 0;
  int deepest = 0;
  int grants = 0;
  EXPECT_TRUE(slots.TakeOrWait(connection, &slots, 1, [] {}));
  for (const char& call : calls) {
    EXPECT_FALSE(slots.TakeOrWait(connection, &call, 1, [&] {
      deepest = std::max(deepest, ++depth);
      ++grants;
      slots.Release(connection, 1);
      --depth;
    }));
  }
  slots.Release(connection, 1);
  EXPECT_EQ(grants, kCalls);
  EXPECT_EQ(deepest, 1);
  EXPECT_EQ(slots.waiting(), 0);
}

}  // namespace
}  // namespace groupnorm
