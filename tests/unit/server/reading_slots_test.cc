#include "server/reading_slots.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace groupnorm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ReadingSlotsTest : public ::testing::Test {
 protected:
  bool TakeOrWait(ReadingSlots& slots, int call) {
    return slots.TakeOrWait(&calls_[call],
                            [this, call] { granted_.push_back(call); });
  }

  int calls_[4] = {};
  std::vector<int> granted_;
};

TEST_F(ReadingSlotsTest, AreTakenWhileThereAreSome) {
  ReadingSlots slots(2);
  EXPECT_TRUE(TakeOrWait(slots, 0));
  EXPECT_TRUE(TakeOrWait(slots, 1));
  EXPECT_FALSE(TakeOrWait(slots, 2));
  EXPECT_EQ(slots.waiting(), 1);
  EXPECT_THAT(granted_, IsEmpty());
}

TEST_F(ReadingSlotsTest, AreGrantedInTheOrderOfArrival) {
  ReadingSlots slots(1);
  EXPECT_TRUE(TakeOrWait(slots, 0));
  EXPECT_FALSE(TakeOrWait(slots, 1));
  EXPECT_FALSE(TakeOrWait(slots, 2));
  slots.Release();
  EXPECT_THAT(granted_, ElementsAre(1));
  slots.Release();
  EXPECT_THAT(granted_, ElementsAre(1, 2));
  slots.Release();
  EXPECT_TRUE(TakeOrWait(slots, 3));
}

TEST_F(ReadingSlotsTest, AreNotGrantedToACallThatLeft) {
  ReadingSlots slots(1);
  EXPECT_TRUE(TakeOrWait(slots, 0));
  EXPECT_FALSE(TakeOrWait(slots, 1));
  EXPECT_FALSE(TakeOrWait(slots, 2));
  slots.Leave(&calls_[1]);
  slots.Release();
  EXPECT_THAT(granted_, ElementsAre(2));
}

TEST_F(ReadingSlotsTest, StayAsTheyAreWhereACallLeavesThatDoesNotWait) {
  ReadingSlots slots(1);
  EXPECT_TRUE(TakeOrWait(slots, 0));
  slots.Leave(&calls_[0]);
  EXPECT_FALSE(TakeOrWait(slots, 1));
}

TEST_F(ReadingSlotsTest, MayBeReleasedByTheCallThatWasJustGrantedOne) {
  ReadingSlots slots(1);
  EXPECT_TRUE(TakeOrWait(slots, 0));
  EXPECT_FALSE(slots.TakeOrWait(&calls_[1], [&slots] { slots.Release(); }));
  EXPECT_FALSE(TakeOrWait(slots, 2));
  slots.Release();
  EXPECT_THAT(granted_, ElementsAre(2));
}

}  // namespace
}  // namespace groupnorm
