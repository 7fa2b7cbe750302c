#ifndef GROUPNORM_SERVER_GRPC_LOG_H_
#define GROUPNORM_SERVER_GRPC_LOG_H_

namespace groupnorm {

/// Sends what gRPC logs to our own log, at level debug; call it in main(). What
/// gRPC calls errors there (a port in use, a caller that went away) reaches us
/// as a status too, which says it in our words.
void LogGrpcAtDebug();

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_GRPC_LOG_H_
