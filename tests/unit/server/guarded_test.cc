#include "server/guarded.h"

#include <gtest/gtest.h>

#include <new>
#include <stdexcept>

namespace groupnorm {
namespace {

TEST(RunGuarded, ReturnsWhatTheStepReturns) {
  EXPECT_EQ(RunGuarded([] { return absl::OkStatus(); }), absl::OkStatus());
  EXPECT_EQ(RunGuarded([] { return absl::NotFoundError("x"); }),
            absl::NotFoundError("x"));
}

TEST(RunGuarded, TurnsExceptionsIntoStatuses) {
  EXPECT_EQ(RunGuarded([]() -> absl::Status { throw std::bad_alloc(); }),
            absl::ResourceExhaustedError("server: out of memory"));
  EXPECT_EQ(
      RunGuarded([]() -> absl::Status { throw std::length_error("long"); }),
      absl::InternalError("server: long"));
}

}  // namespace
}  // namespace groupnorm
