#ifndef GROUPNORM_CLIENT_CLI_VERIFY_RUN_H_
#define GROUPNORM_CLIENT_CLI_VERIFY_RUN_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "absl/status/statusor.h"
#include "client/cli/verify/check.h"
#include "client/cli/verify/matrix.h"
#include "client/cli/verify/report.h"

namespace groupnorm::verify {

/// Told before each cell how many are done.
using Progress = std::function<void(std::size_t num_done)>;

/// Makes the requests of `cells` with the random tensors of `seed`, one after
/// the other, and compares what comes back. Fails at the first call that fails,
/// with the service's code and text behind the cell's description.
absl::StatusOr<Report> RunCells(const Service& service,
                                std::span<const Cell> cells, std::uint64_t seed,
                                const Progress& progress);

}  // namespace groupnorm::verify

#endif  // GROUPNORM_CLIENT_CLI_VERIFY_RUN_H_
