#include "client/cli/files/tensor_file.h"

#include <cstddef>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/files/file_error.h"
#include "client/cli/files/input_file.h"
#include "client/cli/files/npy_header.h"
#include "client/cli/files/safetensors.h"
#include "client/cli/files/safetensors_header.h"

namespace groupnorm::cli {

namespace {

constexpr char kEnding[] = ".safetensors";

struct TensorFileName {
  std::string path;
  bool safetensors = false;
  std::optional<std::string> tensor;
};

TensorFileName Split(const std::string& name) {
  // The first one ends the path: a tensor's name may hold anything.
  const std::size_t colon = name.find(absl::StrCat(kEnding, ":"));
  if (colon == std::string::npos) {
    return {name, absl::EndsWith(name, kEnding), std::nullopt};
  }
  const std::size_t end = colon + sizeof(kEnding) - 1;
  return {name.substr(0, end), true, name.substr(end + 1)};
}

absl::StatusOr<TensorFileName> SplitAndCheck(const std::string& name) {
  TensorFileName split = Split(name);
  if (split.tensor.has_value() &&
      (split.tensor->empty() || !IsSafetensorsName(*split.tensor))) {
    return FileFault(split.path, absl::StrCat(QuotedName(*split.tensor),
                                              ", expected the name of a tensor "
                                              "behind the colon"));
  }
  return split;
}

}  // namespace

std::string PathOf(const std::string& name) { return Split(name).path; }

absl::StatusOr<OwnedTensor> ReadTensor(const std::string& name, Uint16 uint16) {
  const absl::StatusOr<TensorFileName> split = SplitAndCheck(name);
  if (!split.ok()) return split.status();
  absl::StatusOr<InputFile> file = InputFile::Open(split->path);
  if (!file.ok()) return file.status();
  return split->safetensors ? ReadSafetensors(*file, split->tensor)
                            : ReadNpy(*file, uint16);
}

TensorOutput::TensorOutput(OutputFile file, bool safetensors,
                           std::optional<std::string> tensor_name)
    : file_(std::move(file)),
      safetensors_(safetensors),
      tensor_name_(std::move(tensor_name)) {}

absl::StatusOr<TensorOutput> TensorOutput::Open(const std::string& name) {
  absl::StatusOr<TensorFileName> split = SplitAndCheck(name);
  if (!split.ok()) return split.status();
  absl::StatusOr<OutputFile> file = OutputFile::Open(split->path);
  if (!file.ok()) return file.status();
  if (split->safetensors && file->replaces()) {
    absl::Status status = CheckReplaceable(split->path, split->tensor);
    if (!status.ok()) return status;
  }
  return TensorOutput(*std::move(file), split->safetensors,
                      std::move(split->tensor));
}

absl::Status TensorOutput::Write(const TensorView& tensor,
                                 const std::string& default_tensor_name) {
  return file_.Write(
      safetensors_
          ? SafetensorsPreamble(tensor_name_.value_or(default_tensor_name),
                                tensor.dtype, tensor.shape)
          : NpyPreamble(tensor.dtype, tensor.shape),
      tensor);
}

}  // namespace groupnorm::cli
