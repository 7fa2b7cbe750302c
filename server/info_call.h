#ifndef GROUPNORM_SERVER_INFO_CALL_H_
#define GROUPNORM_SERVER_INFO_CALL_H_

#include <grpcpp/grpcpp.h>

#include <memory>

#include "absl/time/time.h"
#include "server/admission.h"
#include "server/call_count.h"
#include "server/server_info.h"
#include "server/service.h"
#include "server/unary_call.h"

namespace groupnorm {

/// What the calls of GetServerInfo share.
struct InfoEnvironment {
  GroupNormService& service;
  AdmissionController& admission;
  ServerInfo info;
  absl::Duration write_timeout;
  CallCount& calls;  ///< All, those that wait for a caller included.
};

/// One call of GetServerInfo, answered at its headers: its request has no
/// fields, and a body of any size stays unread. It takes no room among the
/// calls in flight, so that a full server still says what it is; a draining one
/// refuses it.
class InfoCall : public UnaryCall {
 public:
  /// Makes the server ready for one more call, served on `queue`.
  static void Await(InfoEnvironment& environment,
                    grpc::ServerCompletionQueue* queue);

  InfoCall(InfoEnvironment& environment, grpc::ServerCompletionQueue* queue);

 private:
  void Request(void* tag) override;
  void AwaitNext() override { Await(environment_, queue()); }
  void OnCalled() override;
  void Finish(const grpc::Status& status, void* tag) override;

  InfoEnvironment& environment_;
  GroupNormService::InfoStream stream_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_INFO_CALL_H_
