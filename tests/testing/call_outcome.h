#ifndef GROUPNORM_TESTS_TESTING_CALL_OUTCOME_H_
#define GROUPNORM_TESTS_TESTING_CALL_OUTCOME_H_

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>

#include <string>

namespace groupnorm {

/// As in "RESOURCE_EXHAUSTED: response: needs ..."; "OK".
std::string OutcomeText(const grpc::Status& status);

/// Matches a status with this code and a message that `message` matches.
MATCHER_P2(FailsWith, code, message, "") {
  *result_listener << OutcomeText(arg);
  return arg.error_code() == code &&
         ::testing::ExplainMatchResult(message, arg.error_message(),
                                       result_listener);
}

MATCHER(Succeeds, "") {
  *result_listener << OutcomeText(arg);
  return arg.ok();
}

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_TESTING_CALL_OUTCOME_H_
