#ifndef GROUPNORM_SERVER_GRPC_STATUS_H_
#define GROUPNORM_SERVER_GRPC_STATUS_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <cstddef>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace groupnorm {

/// Longest status text that is sent. A longer one could exceed the limit on
/// metadata of some client, which then sees another error.
inline constexpr std::size_t kMaxStatusTextBytes = 1024;

/// The status of a call as it is sent: the same code, the text cut to
/// kMaxStatusTextBytes, with `?` for every byte that is not printable ASCII.
grpc::Status ToGrpcStatus(const absl::Status& status);

/// Tells the caller of a call that is shed to try again after `pushback`, and
/// not earlier.
void AddRetryPushback(absl::Duration pushback, grpc::ServerContext& context);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_GRPC_STATUS_H_
