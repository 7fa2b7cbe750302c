#include "server/health_service.h"

#include <grpcpp/impl/codegen/rpc_service_method.h>

namespace groupnorm {

HealthService::HealthService() {
  using grpc::internal::RpcMethod;
  using grpc::internal::RpcServiceMethod;
  // In the order of Method. The base class takes ownership.
  AddMethod(new RpcServiceMethod("/grpc.health.v1.Health/Check",
                                 RpcMethod::BIDI_STREAMING, nullptr));
  AddMethod(new RpcServiceMethod("/grpc.health.v1.Health/Watch",
                                 RpcMethod::BIDI_STREAMING, nullptr));
  for (const int method : {kCheck, kWatch}) MarkMethodAsync(method);
}

}  // namespace groupnorm
