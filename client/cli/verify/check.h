#ifndef GROUPNORM_CLIENT_CLI_VERIFY_CHECK_H_
#define GROUPNORM_CLIENT_CLI_VERIFY_CHECK_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/cli/verify/problem.h"
#include "groupnorm/client.h"
#include "groupnorm/dtype.h"
#include "kernels/reference/reference.h"

namespace groupnorm::verify {

/// Who is verified: the calls of a Client, or in tests a fake of it.
struct Service {
  std::function<absl::Status(const ForwardArguments&, const ForwardResults&)>
      forward;
  std::function<absl::Status(const BackwardArguments&, const BackwardResults&)>
      backward;
};

/// What is compared. In the order in which it is reported.
enum class Output {
  kOutput,
  kMean,
  kRstd,
  kGradInput,
  kGradWeight,
  kGradBias,
};

/// The name in the contract, as in "grad_input".
std::string_view OutputName(Output output);

/// An element beyond its bound.
struct WrongElement {
  std::size_t index = 0;  ///< Into the output's elements in row-major order.
  long double expected = 0;
  long double bound = 0;
  double got = 0;
};

/// How one output of one problem compares with the reference.
struct OutputCheck {
  Output output = Output::kOutput;
  DataType dtype = DataType::kFloat32;
  std::int64_t num_values = 0;
  reference::Comparison comparison;
  std::optional<WrongElement> first_wrong;  ///< Present where not ok.
};

/// Runs Forward and Backward of `problem` on `service` and compares every
/// number of every output with groupnorm::reference. Fails with the service's
/// own error, which is also how a problem that breaks the contract ends;
/// numbers beyond their bounds are no failure.
absl::StatusOr<std::vector<OutputCheck>> CheckProblem(const Service& service,
                                                      const Problem& problem);

}  // namespace groupnorm::verify

#endif  // GROUPNORM_CLIENT_CLI_VERIFY_CHECK_H_
