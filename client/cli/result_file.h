#ifndef GROUPNORM_CLIENT_CLI_RESULT_FILE_H_
#define GROUPNORM_CLIENT_CLI_RESULT_FILE_H_

#include <initializer_list>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "client/cli/files/tensor_file.h"

namespace groupnorm::cli {

/// A result of a call on its way to the file that the command line names for
/// it; one that it does not name is not wanted. Used in this order: OpenAll,
/// Allocate, the call, SaveAll.
class ResultFile {
 public:
  /// `tensor_name`: of the result, in files whose tensors have names.
  ResultFile(std::optional<std::string> file, std::string tensor_name);

  /// Memory for the result; null where it is not wanted.
  void* Allocate(DataType dtype, const Shape& shape);

  /// Makes sure that all files can be written.
  static absl::Status OpenAll(std::span<ResultFile* const> results);

  /// Writes all files, and only then puts them in their places.
  static absl::Status SaveAll(std::span<ResultFile* const> results);

 private:
  std::optional<std::string> file_;
  std::string tensor_name_;
  std::optional<TensorOutput> output_;
  std::optional<OwnedTensor> tensor_;
};

/// Throws CLI::ValidationError, a usage error, where one file is named for two
/// results, be it by two paths or with two names of tensors.
void RequireDistinct(std::initializer_list<std::optional<std::string>> files);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_RESULT_FILE_H_
