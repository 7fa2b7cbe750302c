#include "client/cli/result_file.h"

#include <CLI/Error.hpp>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/activity_line.h"

namespace groupnorm::cli {

ResultFile::ResultFile(std::optional<std::string> file, std::string tensor_name)
    : file_(std::move(file)), tensor_name_(std::move(tensor_name)) {}

void* ResultFile::Allocate(DataType dtype, const Shape& shape) {
  if (!file_) return nullptr;
  return tensor_.emplace(dtype, shape).data();
}

absl::Status ResultFile::OpenAll(std::span<ResultFile* const> results) {
  for (ResultFile* const result : results) {
    if (!result->file_) continue;
    absl::StatusOr<TensorOutput> output = TensorOutput::Open(*result->file_);
    if (!output.ok()) return output.status();
    result->output_.emplace(*std::move(output));
  }
  return absl::OkStatus();
}

absl::Status ResultFile::SaveAll(std::span<ResultFile* const> results) {
  const ActivityLine line("writing the results");
  for (ResultFile* const result : results) {
    if (!result->output_) continue;
    absl::Status status =
        result->output_->Write(result->tensor_->view(), result->tensor_name_);
    if (!status.ok()) return status;
  }
  for (ResultFile* const result : results) {
    if (!result->output_) continue;
    absl::Status status = result->output_->Commit();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

void RequireDistinct(std::initializer_list<std::optional<std::string>> files) {
  std::set<std::filesystem::path> seen;
  for (const std::optional<std::string>& file : files) {
    if (!file) continue;
    const std::string path = PathOf(*file);
    std::error_code fault;
    std::filesystem::path resolved = std::filesystem::weakly_canonical(
        std::filesystem::path(".") / path, fault);
    // What cannot be resolved fails when it is opened.
    if (fault) resolved = path;
    if (!seen.insert(resolved).second) {
      throw CLI::ValidationError(absl::StrCat(
          path, ": named for two results, expected a file for each"));
    }
  }
}

}  // namespace groupnorm::cli
