#ifndef GROUPNORM_SERVER_HEALTH_SERVICE_H_
#define GROUPNORM_SERVER_HEALTH_SERVICE_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/byte_buffer.h>

#include "grpc/health/v1/health.pb.h"

namespace groupnorm {

/// The methods of grpc.health.v1.Health on our own completion queues: those of
/// gRPC itself are built on its callbacks, whose threads sleep 100 ms after an
/// idle second in this release.
///
/// As those of GroupNormService, all are registered as streaming methods, so
/// that a call is seen, and counted, before its request has come.
class HealthService final : public grpc::Service {
 public:
  enum Method { kCheck = 0, kWatch = 1 };

  // A request comes as bytes: gRPC would parse it, whatever its size, where
  // there is no call yet that could fail for want of memory.
  using Stream =
      grpc::ServerAsyncReaderWriter<grpc::health::v1::HealthCheckResponse,
                                    grpc::ByteBuffer>;

  HealthService();

  /// Asks for the next call. `tag` comes back with its headers, or with ok
  /// false once the server has shut down.
  void RequestCall(Method method, grpc::ServerContext* context, Stream* stream,
                   grpc::ServerCompletionQueue* queue, void* tag) {
    RequestAsyncBidiStreaming(method, context, stream, queue, queue, tag);
  }
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_HEALTH_SERVICE_H_
