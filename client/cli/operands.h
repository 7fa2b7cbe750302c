#ifndef GROUPNORM_CLIENT_CLI_OPERANDS_H_
#define GROUPNORM_CLIENT_CLI_OPERANDS_H_

#include <CLI/App.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/cli/files/tensor_file.h"
#include "groupnorm/client.h"

/// What forward and backward have in common: the flags that say what to compute
/// from which files, and the files themselves.
namespace groupnorm::cli {

/// The flags that forward and backward share. Files are as in
/// files/tensor_file.h.
struct OperandFlags {
  std::string input;
  std::int64_t num_groups = 0;
  std::optional<double> epsilon;
  Layout layout = Layout::kChannelsFirst;
  std::optional<std::string> weight;
  std::optional<std::string> mean;  ///< Given with rstd only.
  std::optional<std::string> rstd;
  bool bfloat16 = false;  ///< `.npy` files of uint16 hold bfloat16.

  Uint16 uint16() const {
    return bfloat16 ? Uint16::kBfloat16 : Uint16::kRefused;
  }
};

/// The type of an option that takes a file as files/tensor_file.h reads or
/// writes it. `completion` completes files where it stands.
extern const char kFileType[];

/// What --help says of such files, with `results`, the names that the tensors
/// get there.
std::string FilesHelp(const std::string& results);

/// Adds --layout.
void AddLayoutFlag(CLI::App& command, Layout& layout);

/// Adds INPUT, --num-groups, --epsilon, --layout, --weight, --mean, --rstd
/// and --dtype.
void AddOperandFlags(CLI::App& command, OperandFlags& flags);

/// Adds --bias, for the commands whose results depend on it.
void AddBiasFlag(CLI::App& command, std::optional<std::string>& bias);

/// Adds --frozen-statistics and --per-sample-gradients, for the commands that
/// compute gradients. After AddOperandFlags.
void AddGradientModeFlags(CLI::App& command, bool& frozen_statistics,
                          bool& per_sample_gradients);

/// What those flags name.
struct Operands {
  OwnedTensor input;
  std::optional<OwnedTensor> weight;
  std::optional<OwnedTensor> mean;
  std::optional<OwnedTensor> rstd;

  /// Views of mean and rstd, if there are any.
  std::optional<StatisticsView> statistics() const;
};

/// ReadTensor, with a line on a terminal where it takes its time.
absl::StatusOr<OwnedTensor> ReadOperand(const std::string& file, Uint16 uint16);

/// Reads the files. Fails as ReadTensor does, and where --dtype bfloat16 is
/// given for an input of another element type.
absl::StatusOr<Operands> ReadOperands(const OperandFlags& flags);

/// Reads a file that may not have been named.
absl::StatusOr<std::optional<OwnedTensor>> ReadOptional(
    const std::optional<std::string>& path, Uint16 uint16);

/// A view of a tensor that may be absent.
std::optional<TensorView> ViewOf(const std::optional<OwnedTensor>& tensor);

/// Shape of mean and rstd. Where the server is going to refuse the input or
/// num_groups: some shape that is no larger than the input's.
Shape StatisticsShape(const OperandFlags& flags, const Shape& input);

/// Shape of a gradient with respect to the channels' parameters, [C] or with
/// `per_sample` [N, C]. Where the server is going to refuse the input: some
/// shape.
Shape ParameterShape(const OperandFlags& flags, const Shape& input,
                     bool per_sample);

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_OPERANDS_H_
