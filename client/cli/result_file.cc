#include "client/cli/result_file.h"

#include <CLI/Error.hpp>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

namespace groupnorm::cli {

ResultFile::ResultFile(std::optional<std::string> path)
    : path_(std::move(path)) {}

void* ResultFile::Allocate(DataType dtype, const Shape& shape) {
  if (!path_) return nullptr;
  return tensor_.emplace(dtype, shape).data();
}

absl::Status ResultFile::OpenAll(std::span<ResultFile* const> results) {
  for (ResultFile* const result : results) {
    if (!result->path_) continue;
    absl::StatusOr<NpyOutput> output = NpyOutput::Open(*result->path_);
    if (!output.ok()) return output.status();
    result->output_.emplace(*std::move(output));
  }
  return absl::OkStatus();
}

absl::Status ResultFile::SaveAll(std::span<ResultFile* const> results) {
  for (ResultFile* const result : results) {
    if (!result->output_) continue;
    absl::Status status = result->output_->Write(result->tensor_->view());
    if (!status.ok()) return status;
  }
  for (ResultFile* const result : results) {
    if (!result->output_) continue;
    absl::Status status = result->output_->Commit();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

void RequireDistinct(std::initializer_list<std::optional<std::string>> paths) {
  std::set<std::filesystem::path> seen;
  for (const std::optional<std::string>& path : paths) {
    if (!path) continue;
    std::error_code fault;
    std::filesystem::path file = std::filesystem::weakly_canonical(
        std::filesystem::path(".") / *path, fault);
    // What cannot be resolved fails when it is opened.
    if (fault) file = *path;
    if (!seen.insert(file).second) {
      throw CLI::ValidationError(
          absl::StrCat(*path, ": named for two results"));
    }
  }
}

}  // namespace groupnorm::cli
