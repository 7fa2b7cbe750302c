#include "server/grpc_status.h"

#include <gtest/gtest.h>

#include <string>

namespace groupnorm {
namespace {

TEST(GrpcStatus, KeepsCodeAndText) {
  const grpc::Status status =
      ToGrpcStatus(absl::ResourceExhaustedError("request: too much"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(), "request: too much");
}

TEST(GrpcStatus, KeepsEveryCode) {
  for (int code = 0; code <= 16; ++code) {
    EXPECT_EQ(
        ToGrpcStatus(absl::Status(static_cast<absl::StatusCode>(code), "text"))
            .error_code(),
        code);
  }
}

TEST(GrpcStatus, CutsLongTexts) {
  const grpc::Status status =
      ToGrpcStatus(absl::InternalError(std::string(5000, 'x')));
  EXPECT_EQ(status.error_message(), std::string(1024, 'x'));
}

TEST(GrpcStatus, SendsPrintableCharactersOnly) {
  const grpc::Status status =
      ToGrpcStatus(absl::InternalError("a\nb\x7f\xc3\xa4 ~"));
  EXPECT_EQ(status.error_message(), "a?b??? ~");
}

}  // namespace
}  // namespace groupnorm
