#ifndef GROUPNORM_SERVER_DESCRIPTORS_H_
#define GROUPNORM_SERVER_DESCRIPTORS_H_

#include <cstddef>

#include "absl/status/status.h"

namespace groupnorm {

/// Whether the process may open enough file descriptors to listen at
/// `addresses` addresses and to take a few connections. Opens them all for a
/// moment. RESOURCE_EXHAUSTED: it may not; the text names what to raise.
absl::Status CheckDescriptors(std::size_t addresses);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_DESCRIPTORS_H_
