#ifndef GROUPNORM_TESTS_FUZZ_CONTRACT_ORACLE_H_
#define GROUPNORM_TESTS_FUZZ_CONTRACT_ORACLE_H_

#include <string>

#include "groupnorm/v1/groupnorm.pb.h"

/// The contract's rules on messages that protobuf has parsed, written from
/// proto/groupnorm/v1 alone: shares no code with the codec.
namespace groupnorm::fuzz {

/// The field path with which the rejection begins; empty where the request
/// keeps every rule.
std::string FirstFault(const v1::ForwardRequest& request);
std::string FirstFault(const v1::BackwardRequest& request);

}  // namespace groupnorm::fuzz

#endif  // GROUPNORM_TESTS_FUZZ_CONTRACT_ORACLE_H_
