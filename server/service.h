#ifndef GROUPNORM_SERVER_SERVICE_H_
#define GROUPNORM_SERVER_SERVICE_H_

#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/codegen/service_type.h>
#include <grpcpp/support/async_stream.h>
#include <grpcpp/support/byte_buffer.h>

#include "groupnorm/v1/groupnorm.pb.h"

namespace groupnorm {

/// The methods of groupnorm.v1.GroupNormService as gRPC sees them here.
///
/// All are registered as streaming methods under their unary names: a call then
/// arrives at its headers, before its body is read, and can be refused with the
/// body unread. On the wire nothing differs, so unary stubs of every language
/// work. The generated service cannot stand beside this one: gRPC refuses two
/// registrations of a name.
class GroupNormService final : public grpc::Service {
 public:
  enum Method { kForward = 0, kBackward = 1, kGetServerInfo = 2 };

  using TensorStream =
      grpc::ServerAsyncReaderWriter<grpc::ByteBuffer, grpc::ByteBuffer>;
  using InfoStream = grpc::ServerAsyncReaderWriter<v1::GetServerInfoResponse,
                                                   v1::GetServerInfoRequest>;

  GroupNormService();

  /// Asks for the next call of Forward or Backward. `tag` comes back with its
  /// headers, or with ok false once the server has shut down.
  void RequestTensorCall(Method method, grpc::ServerContext* context,
                         TensorStream* stream,
                         grpc::ServerCompletionQueue* queue, void* tag) {
    RequestAsyncBidiStreaming(method, context, stream, queue, queue, tag);
  }

  /// Asks for the next call of GetServerInfo; as above.
  void RequestInfoCall(grpc::ServerContext* context, InfoStream* stream,
                       grpc::ServerCompletionQueue* queue, void* tag) {
    RequestAsyncBidiStreaming(kGetServerInfo, context, stream, queue, queue,
                              tag);
  }
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_SERVICE_H_
