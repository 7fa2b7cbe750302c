#ifndef GROUPNORM_SERVER_CONNECTION_H_
#define GROUPNORM_SERVER_CONNECTION_H_

#include <grpcpp/grpcpp.h>

#include "server/connection_id.h"

namespace groupnorm {

/// The connection over which the call came. Its headers must have arrived.
/// Peer addresses do not tell connections apart: those of all callers on a UNIX
/// socket are the same.
ConnectionId ConnectionOf(grpc::ServerContext& context);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_CONNECTION_H_
