#ifndef GROUPNORM_SERVER_GUARDED_H_
#define GROUPNORM_SERVER_GUARDED_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace groupnorm {

/// Runs one step of a request and turns what it throws into a status, since one
/// request must not end the process: RESOURCE_EXHAUSTED for std::bad_alloc,
/// INTERNAL for any other std::exception.
absl::Status RunGuarded(absl::FunctionRef<absl::Status()> step);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_GUARDED_H_
