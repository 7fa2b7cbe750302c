#include "client/cli/backward_command.h"

#include <CLI/Error.hpp>
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

struct BackwardFlags {
  OperandFlags operands;
  std::string grad_output;
  bool frozen_statistics = false;
  bool per_sample_gradients = false;
  std::optional<std::string> grad_input;
  std::optional<std::string> grad_weight;
  std::optional<std::string> grad_bias;
  ConnectionFlags connection;
};

Outcome RunBackward(const BackwardFlags& flags) {
  const absl::StatusOr<Operands> operands = ReadOperands(flags.operands);
  if (!operands.ok()) return FileFailure(operands.status());
  const absl::StatusOr<OwnedTensor> grad_output =
      ReadOperand(flags.grad_output, flags.operands.uint16());
  if (!grad_output.ok()) return FileFailure(grad_output.status());

  ResultFile grad_input(flags.grad_input, "grad_input"),
      grad_weight(flags.grad_weight, "grad_weight"),
      grad_bias(flags.grad_bias, "grad_bias");
  const std::array<ResultFile*, 3> results = {&grad_input, &grad_weight,
                                              &grad_bias};
  if (absl::Status status = ResultFile::OpenAll(results); !status.ok()) {
    return FileFailure(status);
  }
  absl::StatusOr<ClientSession> session = ClientSession::Open(flags.connection);
  if (!session.ok()) return OpenFailure(session.status());

  const OwnedTensor& input = operands->input;
  const Shape parameters =
      ParameterShape(flags.operands, input.shape(), flags.per_sample_gradients);
  DataType parameter_dtype =
      operands->weight ? operands->weight->dtype() : input.dtype();
  if (flags.per_sample_gradients) parameter_dtype = DataType::kFloat64;
  std::optional<ActivityLine> line(
      std::in_place, session->WaitingText(2 * input.size_bytes()));
  const absl::Status status = session->client().Backward(
      {.grad_output = grad_output->view(),
       .input = input.view(),
       .num_groups = flags.operands.num_groups,
       .epsilon = flags.operands.epsilon,
       .layout = flags.operands.layout,
       .weight = ViewOf(operands->weight),
       .statistics = operands->statistics(),
       .frozen_statistics = flags.frozen_statistics,
       .per_sample_gradients = flags.per_sample_gradients},
      {.grad_input = grad_input.Allocate(input.dtype(), input.shape()),
       .grad_weight = grad_weight.Allocate(parameter_dtype, parameters),
       .grad_bias = grad_bias.Allocate(parameter_dtype, parameters)});
  line.reset();
  if (!status.ok()) return CallFailure(status);
  if (absl::Status saved = ResultFile::SaveAll(results); !saved.ok()) {
    return FileFailure(saved);
  }
  return {};
}

void AddGradientFlags(CLI::App& command, BackwardFlags& flags) {
  AddGradientModeFlags(command, flags.frozen_statistics,
                       flags.per_sample_gradients);
  command
      .add_option("--grad-input", flags.grad_input,
                  "File for the gradient with respect to the input, of its "
                  "element type and shape")
      ->type_name(kFileType);
  command
      .add_option("--grad-weight", flags.grad_weight,
                  "File for the gradient with respect to the weight: [C], of "
                  "its element type (without a weight: of the input's)")
      ->type_name(kFileType);
  command
      .add_option("--grad-bias", flags.grad_bias,
                  "File for the gradient with respect to the bias, like "
                  "--grad-weight")
      ->type_name(kFileType);
}

}  // namespace

void AddBackwardCommand(CLI::App& app, Outcome& outcome) {
  CLI::App* const command = app.add_subcommand(
      "backward", "Computes gradients with respect to input, weight and bias");
  command->footer(absl::StrCat(
      FilesHelp("grad_input, grad_weight and grad_bias"),
      "Examples:\n"
      "  groupnorm backward x.npy dy.npy --num-groups 32 --grad-input dx.npy\n"
      "  groupnorm backward x.npy dy.npy --num-groups 3 --weight w.npy \\\n"
      "      --mean mean.npy --rstd rstd.npy --grad-input dx.npy \\\n"
      "      --grad-weight dw.npy --grad-bias db.npy"));
  const auto flags = std::make_shared<BackwardFlags>();
  AddOperandFlags(*command, flags->operands);
  command
      ->add_option("GRAD_OUTPUT", flags->grad_output,
                   "Gradient of the loss with respect to forward's output, of "
                   "the input's element type and shape")
      ->type_name(kFileType)
      ->required();
  AddGradientFlags(*command, *flags);
  AddConnectionFlags(*command, flags->connection, kEmbeddedByDefault);
  command->callback([flags, &outcome] {
    if (!flags->grad_input && !flags->grad_weight && !flags->grad_bias) {
      throw CLI::ValidationError(
          "nothing to compute: give at least one of --grad-input, "
          "--grad-weight and --grad-bias");
    }
    RequireDistinct({flags->grad_input, flags->grad_weight, flags->grad_bias});
    outcome = RunBackward(*flags);
  });
}

}  // namespace groupnorm::cli
