#ifndef GROUPNORM_CLIENT_PREPARED_CALL_H_
#define GROUPNORM_CLIENT_PREPARED_CALL_H_

#include <grpcpp/support/byte_buffer.h>

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "groupnorm/client.h"

/// The calls of the contract as bytes: what is sent, and what is done with the
/// answer. When and how often they are sent is the affair of others.
namespace groupnorm {

/// A call that is ready to be sent.
struct PreparedCall {
  const char* method = nullptr;
  /// Owns a copy of the arguments' tensors.
  grpc::ByteBuffer request;
  /// Checks a response and copies it to the caller's memory. INTERNAL where it
  /// breaks the contract.
  std::function<absl::Status(const grpc::ByteBuffer& response)> accept;
};

/// Encodes the request, with one copy of its tensors; nothing keeps a pointer
/// into `arguments`. Fails as Client says, on what cannot be sent.
absl::StatusOr<PreparedCall> PrepareForward(const ForwardArguments& arguments,
                                            const ForwardResults& results);
absl::StatusOr<PreparedCall> PrepareBackward(const BackwardArguments& arguments,
                                             const BackwardResults& results);

/// `info` must stay valid until the call is over.
PreparedCall PrepareGetServerInfo(ServerInfo& info);

}  // namespace groupnorm

#endif  // GROUPNORM_CLIENT_PREPARED_CALL_H_
