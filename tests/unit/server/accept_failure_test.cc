#include "server/accept_failure.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace groupnorm {
namespace {

TEST(AcceptFailure, TellsWhatRunsOutFromWhatOneConnectionDid) {
  for (const int error : {EMFILE, ENFILE}) {
    EXPECT_EQ(AcceptFailureOf(error), AcceptFailure::kOutOfDescriptors);
  }
  for (const int error : {ECONNABORTED, EPROTO, EPERM, ENETDOWN, ETIMEDOUT}) {
    EXPECT_EQ(AcceptFailureOf(error), AcceptFailure::kOfOneConnection);
  }
  for (const int error : {EAGAIN, ENOBUFS, ENOMEM}) {
    EXPECT_EQ(AcceptFailureOf(error), AcceptFailure::kForNow);
  }
}

// gRPC itself knows what to do about these.
TEST(AcceptFailure, LeavesTheListenersOwnFaultsAsTheyAre) {
  for (const int error : {EBADF, EINVAL, ENOTSOCK, EINTR}) {
    EXPECT_EQ(AcceptFailureOf(error), AcceptFailure::kFinal);
  }
}

}  // namespace
}  // namespace groupnorm
