#ifndef GROUPNORM_SERVER_GUARDED_H_
#define GROUPNORM_SERVER_GUARDED_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace groupnorm {

/// RESOURCE_EXHAUSTED: the machine has no memory left. Takes none itself.
const absl::Status& OutOfMemoryError();

/// Runs one step of a request and turns what it throws into a status, since one
/// request must not end the process: OutOfMemoryError() for std::bad_alloc,
/// INTERNAL for any other std::exception. Throws neither itself.
absl::Status RunGuarded(absl::FunctionRef<absl::Status()> step);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_GUARDED_H_
