#include "client/cli/operands.h"

#include <CLI/Option.hpp>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/activity_line.h"
#include "client/cli/flag_checks.h"
#include "tensor/group_geometry.h"

namespace groupnorm::cli {

namespace {

constexpr char kChannelsFirst[] = "channels-first";
constexpr char kChannelsLast[] = "channels-last";

}  // namespace

const char kFileType[] = "FILE";

std::string FilesHelp(const std::string& results) {
  return absl::StrCat(
      "Files end in .npy, as numpy.save writes them, or in .safetensors, "
      "where\n"
      "FILE:NAME is one tensor of several.\n",
      results.empty()
          ? ""
          : absl::StrCat(
                "Each result needs a file of its own; in .safetensors, "
                "without :NAME, they\nare called ",
                results,
                ".\nAn existing file is replaced whole; a .safetensors file "
                "of several tensors,\nor of another than NAME, is left as it "
                "is, which is an error.\n"));
}

void AddOperandFlags(CLI::App& command, OperandFlags& flags) {
  command
      .add_option("INPUT", flags.input,
                  "Tensor to normalize, of float16, float32, float64 or "
                  "bfloat16 and rank 2 to 16: x.npy, x.safetensors or "
                  "x.safetensors:NAME")
      ->type_name(kFileType)
      ->required();
  command
      .add_option("--num-groups", flags.num_groups,
                  "Number of groups that the channels fall into; has to "
                  "divide them")
      ->type_name("G")
      ->check(WholeNumberFault)
      ->required();
  command
      .add_option("--epsilon", flags.epsilon,
                  "Added to the variance before the square root. Default: "
                  "1e-5")
      ->type_name("E")
      ->check(NumberFault);
  AddLayoutFlag(command, flags.layout);
  command
      .add_option("--weight", flags.weight,
                  "Factor of every channel, of shape [C]. Default: ones")
      ->type_name(kFileType);
  CLI::Option* const mean =
      command
          .add_option("--mean", flags.mean,
                      "Mean of every (sample, group), of shape [N, G], to use "
                      "instead of the input's own")
          ->type_name(kFileType);
  CLI::Option* const rstd =
      command
          .add_option("--rstd", flags.rstd,
                      "1 / sqrt(variance + epsilon) of every (sample, group), "
                      "to go with --mean")
          ->type_name(kFileType);
  mean->needs(rstd);
  rstd->needs(mean);
  OneOf(*command.add_option_function<std::string>(
            "--dtype", [&flags](const std::string&) { flags.bfloat16 = true; },
            ".npy files of uint16 hold the bits of bfloat16 values, which "
            "NumPy has no type for; the input is of them"),
        {"bfloat16"});
}

void AddLayoutFlag(CLI::App& command, Layout& layout) {
  OneOf(*command.add_option_function<std::string>(
            "--layout",
            [&layout](const std::string& text) {
              layout = text == kChannelsLast ? Layout::kChannelsLast
                                             : Layout::kChannelsFirst;
            },
            "Order of the axes: (N, C, *), the default, or (N, *, C)"),
        {kChannelsFirst, kChannelsLast});
}

void AddBiasFlag(CLI::App& command, std::optional<std::string>& bias) {
  command
      .add_option("--bias", bias,
                  "Summand of every channel, of shape [C]. Default: zeros")
      ->type_name(kFileType);
}

void AddGradientModeFlags(CLI::App& command, bool& frozen_statistics,
                          bool& per_sample_gradients) {
  command
      .add_flag("--frozen-statistics", frozen_statistics,
                "Treat --mean and --rstd as constants, not as functions of "
                "the input")
      ->needs("--mean");
  command.add_flag("--per-sample-gradients", per_sample_gradients,
                   "Do not sum the gradients of weight and bias over the "
                   "samples: float64 [N, C]");
}

std::optional<StatisticsView> Operands::statistics() const {
  if (!mean || !rstd) return std::nullopt;
  return StatisticsView{mean->view(), rstd->view()};
}

absl::StatusOr<OwnedTensor> ReadOperand(const std::string& file,
                                        Uint16 uint16) {
  const ActivityLine line(absl::StrCat("reading ", file));
  return ReadTensor(file, uint16);
}

absl::StatusOr<std::optional<OwnedTensor>> ReadOptional(
    const std::optional<std::string>& path, Uint16 uint16) {
  if (!path) return std::nullopt;
  absl::StatusOr<OwnedTensor> tensor = ReadOperand(*path, uint16);
  if (!tensor.ok()) return tensor.status();
  return *std::move(tensor);
}

absl::StatusOr<Operands> ReadOperands(const OperandFlags& flags) {
  absl::StatusOr<OwnedTensor> input = ReadOperand(flags.input, flags.uint16());
  if (!input.ok()) return input.status();
  if (flags.bfloat16 && input->dtype() != DataType::kBfloat16) {
    return absl::InvalidArgumentError(absl::StrCat(
        flags.input, ": ", std::string(DataTypeName(input->dtype())),
        ", expected BFLOAT16, uint16 in a .npy file, because of --dtype "
        "bfloat16"));
  }
  absl::StatusOr<std::optional<OwnedTensor>> weight =
      ReadOptional(flags.weight, flags.uint16());
  if (!weight.ok()) return weight.status();
  absl::StatusOr<std::optional<OwnedTensor>> mean =
      ReadOptional(flags.mean, flags.uint16());
  if (!mean.ok()) return mean.status();
  absl::StatusOr<std::optional<OwnedTensor>> rstd =
      ReadOptional(flags.rstd, flags.uint16());
  if (!rstd.ok()) return rstd.status();
  return Operands{*std::move(input), *std::move(weight), *std::move(mean),
                  *std::move(rstd)};
}

std::optional<TensorView> ViewOf(const std::optional<OwnedTensor>& tensor) {
  if (!tensor) return std::nullopt;
  return tensor->view();
}

Shape StatisticsShape(const OperandFlags& flags, const Shape& input) {
  if (input.rank() < 2) return {0, 0};
  const std::int64_t channels = ChannelExtent(input, flags.layout);
  return {input.extent(0),
          std::clamp(flags.num_groups, std::int64_t{0}, channels)};
}

Shape ParameterShape(const OperandFlags& flags, const Shape& input,
                     bool per_sample) {
  if (input.rank() < 2) return {0};
  const std::int64_t channels = ChannelExtent(input, flags.layout);
  if (!per_sample) return {channels};
  return {input.extent(0), channels};
}

}  // namespace groupnorm::cli
