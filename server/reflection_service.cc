#include "server/reflection_service.h"

#include <grpcpp/impl/codegen/rpc_service_method.h>

namespace groupnorm {

ReflectionService::ReflectionService() {
  using grpc::internal::RpcMethod;
  using grpc::internal::RpcServiceMethod;
  // In the order of Method. The base class takes ownership.
  for (const char* path :
       {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"}) {
    AddMethod(new RpcServiceMethod(path, RpcMethod::BIDI_STREAMING, nullptr));
  }
  for (const int method : {kV1Alpha, kV1}) MarkMethodAsync(method);
}

}  // namespace groupnorm
