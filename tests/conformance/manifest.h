#ifndef GROUPNORM_TESTS_CONFORMANCE_MANIFEST_H_
#define GROUPNORM_TESTS_CONFORMANCE_MANIFEST_H_

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/reference/reference.h"

/// The conformance vectors, as tests/conformance/README.md describes them.
namespace groupnorm::conformance {

/// A tensor that the response must hold.
struct ExpectedTensor {
  std::string path;  ///< In the response, as in "statistics.mean".
  std::vector<std::int64_t> shape;
  reference::Expected expected;
};

/// One request and what must come back.
struct Case {
  std::string name;
  std::string method;   ///< "Forward" or "Backward".
  std::string request;  ///< The encoded message, possibly no message at all.

  absl::StatusCode code = absl::StatusCode::kOk;

  /// Where code is OK: exactly the tensors of the response.
  std::vector<ExpectedTensor> tensors;

  // Otherwise, of the status message.
  std::string message_prefix;
  std::vector<std::string> message_parts;
};

/// The folder of the vectors in the source tree.
std::filesystem::path VectorsFolder();

/// Reads manifest.json and the requests that it names. Fails with NOT_FOUND
/// where a file is missing and with INVALID_ARGUMENT where the manifest is not
/// as documented.
absl::StatusOr<std::vector<Case>> LoadCases(
    const std::filesystem::path& folder);

/// OK where `status` is as the case says, otherwise INTERNAL with the
/// difference.
absl::Status CheckStatus(const Case& expected, absl::StatusCode code,
                         const std::string& message);

}  // namespace groupnorm::conformance

#endif  // GROUPNORM_TESTS_CONFORMANCE_MANIFEST_H_
