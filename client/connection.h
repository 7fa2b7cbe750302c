#ifndef GROUPNORM_CLIENT_CONNECTION_H_
#define GROUPNORM_CLIENT_CONNECTION_H_

#include <grpcpp/generic/generic_stub.h>

#include <atomic>
#include <cstdint>
#include <string>

#include "client/retry.h"
#include "groupnorm/client.h"

namespace groupnorm {

/// What all calls of one Client share: the grpc_channel to its servers, and
/// what bounds their retries. Thread-safe.
///
/// gRPC's round_robin keeps a connection to every address and sends each
/// attempt to the next server that is connected and healthy. A server without
/// the health service counts as healthy. A server that does not answer for 15
/// s, not even a ping, is given up, and the attempts on its connection fail.
struct Connection {
  /// Does not connect yet. Precondition: the options are valid.
  explicit Connection(const ClientOptions& options);

  const std::string address;
  const RetryOptions retry;
  grpc::GenericStub stub;
  RetryBudget budget;
  std::atomic<std::int64_t> retries = 0;
};

}  // namespace groupnorm

#endif  // GROUPNORM_CLIENT_CONNECTION_H_
