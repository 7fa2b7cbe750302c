#include "client/cli/forward_command.h"

#include <CLI/Option.hpp>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/activity_line.h"
#include "client/cli/client_session.h"
#include "client/cli/operands.h"
#include "client/cli/result_file.h"

namespace groupnorm::cli {

namespace {

struct ForwardFlags {
  OperandFlags operands;
  std::optional<std::string> bias;
  std::string output;
  std::optional<std::string> mean_output;
  std::optional<std::string> rstd_output;
  ConnectionFlags connection;
};

Outcome RunForward(const ForwardFlags& flags) {
  const absl::StatusOr<Operands> operands = ReadOperands(flags.operands);
  if (!operands.ok()) return FileFailure(operands.status());
  const absl::StatusOr<std::optional<OwnedTensor>> bias =
      ReadOptional(flags.bias, flags.operands.uint16());
  if (!bias.ok()) return FileFailure(bias.status());

  ResultFile output(flags.output, "output"), mean(flags.mean_output, "mean"),
      rstd(flags.rstd_output, "rstd");
  const std::array<ResultFile*, 3> results = {&output, &mean, &rstd};
  if (absl::Status status = ResultFile::OpenAll(results); !status.ok()) {
    return FileFailure(status);
  }
  absl::StatusOr<ClientSession> session = ClientSession::Open(flags.connection);
  if (!session.ok()) return OpenFailure(session.status());

  const Shape& shape = operands->input.shape();
  const Shape per_group = StatisticsShape(flags.operands, shape);
  std::optional<ActivityLine> line(
      std::in_place, session->WaitingText(operands->input.size_bytes()));
  const absl::Status status = session->client().Forward(
      {.input = operands->input.view(),
       .num_groups = flags.operands.num_groups,
       .epsilon = flags.operands.epsilon,
       .layout = flags.operands.layout,
       .weight = ViewOf(operands->weight),
       .bias = ViewOf(*bias),
       .statistics = operands->statistics()},
      {.output = output.Allocate(operands->input.dtype(), shape),
       .mean =
           static_cast<double*>(mean.Allocate(DataType::kFloat64, per_group)),
       .rstd =
           static_cast<double*>(rstd.Allocate(DataType::kFloat64, per_group))});
  line.reset();
  if (!status.ok()) return CallFailure(status);
  if (absl::Status saved = ResultFile::SaveAll(results); !saved.ok()) {
    return FileFailure(saved);
  }
  return {};
}

}  // namespace

void AddForwardCommand(CLI::App& app, Outcome& outcome) {
  CLI::App* const command = app.add_subcommand(
      "forward", "Normalizes a tensor: y = (x - mean) * rstd * weight + bias");
  command->footer(absl::StrCat(
      FilesHelp("output, mean and rstd"),
      "Examples:\n"
      "  groupnorm forward x.npy --num-groups 32 -o y.npy\n"
      "  groupnorm forward x.npy --num-groups 3 --weight w.npy --bias b.npy "
      "\\\n"
      "      -o y.npy --mean-output mean.npy --rstd-output rstd.npy "
      "--server 10.0.0.7:50051\n"
      "  groupnorm forward x.safetensors --num-groups 32 \\\n"
      "      --weight model.safetensors:norm.weight -o y.safetensors:y"));
  const auto flags = std::make_shared<ForwardFlags>();
  AddOperandFlags(*command, flags->operands);
  AddBiasFlag(*command, flags->bias);
  command
      ->add_option("-o,--output", flags->output,
                   "File for the normalized tensor, of the input's element "
                   "type and shape")
      ->type_name(kFileType)
      ->required();
  command
      ->add_option("--mean-output", flags->mean_output,
                   "File for the mean of every (sample, group): float64 "
                   "[N, G]")
      ->type_name(kFileType);
  command
      ->add_option("--rstd-output", flags->rstd_output,
                   "File for 1 / sqrt(variance + epsilon) of every (sample, "
                   "group): float64 [N, G]")
      ->type_name(kFileType);
  AddConnectionFlags(*command, flags->connection, kEmbeddedByDefault);
  command->callback([flags, &outcome] {
    RequireDistinct({flags->output, flags->mean_output, flags->rstd_output});
    outcome = RunForward(*flags);
  });
}

}  // namespace groupnorm::cli
