#ifndef GROUPNORM_SERVER_REFLECTION_SERVICE_H_
#define GROUPNORM_SERVER_REFLECTION_SERVICE_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/byte_buffer.h>

#include "grpc/reflection/v1alpha/reflection.pb.h"

namespace groupnorm {

/// gRPC's reflection on our own completion queues: that of gRPC itself holds a
/// thread for every open stream, and nothing ends one when the server drains.
/// Answers under both of its names, whose messages are the same to the byte;
/// newer tools ask for v1 first.
class ReflectionService final : public grpc::Service {
 public:
  enum Method { kV1Alpha = 0, kV1 = 1 };

  // A question comes as bytes, for the reason of HealthService::Stream.
  using Stream = grpc::ServerAsyncReaderWriter<
      grpc::reflection::v1alpha::ServerReflectionResponse, grpc::ByteBuffer>;

  ReflectionService();

  /// Asks for the next call. `tag` comes back with its headers, or with ok
  /// false once the server has shut down.
  void RequestCall(Method method, grpc::ServerContext* context, Stream* stream,
                   grpc::ServerCompletionQueue* queue, void* tag) {
    RequestAsyncBidiStreaming(method, context, stream, queue, queue, tag);
  }
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_REFLECTION_SERVICE_H_
