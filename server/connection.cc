#include "server/connection.h"

#include <grpc/grpc_security.h>

namespace groupnorm {

ConnectionId ConnectionOf(grpc::ServerContext& context) {
  // gRPC makes one of these for each connection, at its handshake (insecure
  // credentials have one as well), and each call refers to it.
  grpc_auth_context* const connection =
      grpc_call_auth_context(context.c_call());
  // The call keeps it alive.
  grpc_auth_context_release(connection);
  return connection;
}

}  // namespace groupnorm
