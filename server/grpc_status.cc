#include "server/grpc_status.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace groupnorm {

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const absl::string_view message =
      status.message().substr(0, kMaxStatusTextBytes);
  std::string text(message.data(), message.size());
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  // The two enumerations number the codes of gRPC alike.
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), text);
}

void AddRetryPushback(absl::Duration pushback, grpc::ServerContext& context) {
  context.AddTrailingMetadata(
      "grpc-retry-pushback-ms",
      absl::StrCat(absl::ToInt64Milliseconds(pushback)));
}

}  // namespace groupnorm
