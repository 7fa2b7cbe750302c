#include "tests/testing/call_outcome.h"

#include "absl/status/status.h"

namespace groupnorm {

std::string OutcomeText(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message())
      .ToString();
}

}  // namespace groupnorm
