#include "server/service.h"

#include <grpcpp/impl/codegen/rpc_service_method.h>

namespace groupnorm {

GroupNormService::GroupNormService() {
  using grpc::internal::RpcMethod;
  using grpc::internal::RpcServiceMethod;
  // In the order of Method. The base class takes ownership.
  AddMethod(new RpcServiceMethod("/groupnorm.v1.GroupNormService/Forward",
                                 RpcMethod::BIDI_STREAMING, nullptr));
  AddMethod(new RpcServiceMethod("/groupnorm.v1.GroupNormService/Backward",
                                 RpcMethod::BIDI_STREAMING, nullptr));
  AddMethod(new RpcServiceMethod("/groupnorm.v1.GroupNormService/GetServerInfo",
                                 RpcMethod::BIDI_STREAMING, nullptr));
  for (const int method : {kForward, kBackward, kGetServerInfo}) {
    MarkMethodAsync(method);
  }
}

}  // namespace groupnorm
