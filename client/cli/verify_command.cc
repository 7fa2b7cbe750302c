#include "client/cli/verify_command.h"

#include <CLI/Option.hpp>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/cli/client_session.h"
#include "client/cli/operands.h"
#include "client/cli/progress_line.h"
#include "client/cli/verify/check.h"
#include "client/cli/verify/matrix.h"
#include "client/cli/verify/run.h"
#include "client/cli/verify/values.h"

namespace groupnorm::cli {

namespace {

struct VerifyFlags {
  OperandFlags operands;  ///< An empty input: the matrix.
  std::optional<std::string> bias;
  std::optional<std::string> grad_output;
  bool frozen_statistics = false;
  bool per_sample_gradients = false;
  std::uint64_t seed = 1;
  ConnectionFlags connection;
};

/// A check of an option: CLI11 itself takes -1 for the largest seed.
std::string SeedFault(const std::string& text) {
  std::uint64_t ignored = 0;
  if (absl::SimpleAtoi(text, &ignored)) return "";
  return absl::StrCat("\"", text,
                      "\", expected a whole number from 0 to 2^64 - 1");
}

verify::Service ServiceOf(Client& client) {
  return {
      [&client](const ForwardArguments& arguments,
                const ForwardResults& results) {
        return client.Forward(arguments, results);
      },
      [&client](const BackwardArguments& arguments,
                const BackwardResults& results) {
        return client.Backward(arguments, results);
      },
  };
}

/// Says which server is verified. Fails where it does not answer.
absl::Status PrintServer(const VerifyFlags& flags, ClientSession& session) {
  const absl::StatusOr<ServerInfo> info = session.client().GetServerInfo();
  if (!info.ok()) return info.status();
  absl::PrintF("server: %s, version %s, %d %s, %s\n",
               flags.connection.server.empty() ? "within this process"
                                               : session.address(),
               info->version, info->workers,
               info->workers == 1 ? "worker" : "workers", info->simd_target);
  return absl::OkStatus();
}

absl::StatusOr<verify::Report> VerifyMatrix(const VerifyFlags& flags,
                                            const verify::Service& service) {
  const std::vector<verify::Cell> cells = verify::MatrixCells();
  absl::PrintF(
      "random tensors of seed %d: %d cells, each a Forward and a "
      "Backward\n\n",
      flags.seed, cells.size());
  ProgressLine progress;
  return verify::RunCells(
      service, cells, flags.seed, [&](std::size_t num_done) {
        progress.Update([&] {
          return absl::StrFormat("%d of %d cells", num_done, cells.size());
        });
      });
}

absl::StatusOr<verify::Report> VerifyProblem(const VerifyFlags& flags,
                                             const verify::Problem& problem,
                                             const verify::Service& service) {
  absl::PrintF("%s: %s %s, %d %s; grad_output: %s\n\n", flags.operands.input,
               DataTypeName(problem.input.dtype),
               problem.input.shape.ToString(), problem.num_groups,
               problem.num_groups == 1 ? "group" : "groups",
               flags.grad_output.value_or(
                   absl::StrFormat("random, of seed %d", flags.seed)));
  const absl::StatusOr<std::vector<verify::OutputCheck>> checks =
      verify::CheckProblem(service, problem);
  if (!checks.ok()) return checks.status();
  verify::Report report;
  report.Add(flags.operands.input, /*ordinary=*/true, *checks);
  return report;
}

verify::TensorData Copy(const OwnedTensor& tensor) {
  const auto* const bytes = static_cast<const std::byte*>(tensor.view().data);
  return {tensor.dtype(), tensor.shape(),
          std::vector<std::byte>(bytes, bytes + tensor.size_bytes())};
}

std::optional<verify::TensorData> Copy(
    const std::optional<OwnedTensor>& tensor) {
  if (!tensor.has_value()) return std::nullopt;
  return Copy(*tensor);
}

/// The problem that the user's files make.
absl::StatusOr<verify::Problem> ReadProblem(const VerifyFlags& flags) {
  const absl::StatusOr<Operands> operands = ReadOperands(flags.operands);
  if (!operands.ok()) return operands.status();
  const absl::StatusOr<std::optional<OwnedTensor>> bias =
      ReadOptional(flags.bias, flags.operands.uint16());
  if (!bias.ok()) return bias.status();
  const absl::StatusOr<std::optional<OwnedTensor>> grad_output =
      ReadOptional(flags.grad_output, flags.operands.uint16());
  if (!grad_output.ok()) return grad_output.status();

  verify::Problem problem;
  problem.layout = flags.operands.layout;
  problem.num_groups = flags.operands.num_groups;
  problem.epsilon = flags.operands.epsilon.value_or(problem.epsilon);
  problem.input = Copy(operands->input);
  problem.grad_output =
      grad_output->has_value()
          ? Copy(**grad_output)
          : verify::MakeGradOutput(problem.input.dtype, problem.input.shape,
                                   flags.seed);
  problem.weight = Copy(operands->weight);
  problem.bias = Copy(*bias);
  if (operands->mean.has_value()) {
    problem.statistics = {Copy(*operands->mean), Copy(*operands->rstd)};
  }
  problem.frozen_statistics = flags.frozen_statistics;
  problem.per_sample_gradients = flags.per_sample_gradients;
  return problem;
}

Outcome RunVerify(const VerifyFlags& flags) {
  std::optional<verify::Problem> problem;
  if (!flags.operands.input.empty()) {
    absl::StatusOr<verify::Problem> read = ReadProblem(flags);
    if (!read.ok()) return FileFailure(read.status());
    problem = *std::move(read);
  }
  absl::StatusOr<ClientSession> session = ClientSession::Open(flags.connection);
  if (!session.ok()) return OpenFailure(session.status());
  if (absl::Status status = PrintServer(flags, *session); !status.ok()) {
    return CallFailure(status);
  }
  const verify::Service service = ServiceOf(session->client());
  const absl::StatusOr<verify::Report> report =
      problem.has_value() ? VerifyProblem(flags, *problem, service)
                          : VerifyMatrix(flags, service);
  if (!report.ok()) return CallFailure(report.status());
  std::fputs(report->ToString().c_str(), stdout);
  return OutcomeOf(*report);
}

}  // namespace

void AddVerifyCommand(CLI::App& app, Outcome& outcome) {
  CLI::App* const command = app.add_subcommand(
      "verify", "Compare a server's numbers with the reference");
  command->description(
      "Compares every number that Forward and Backward answer with a scalar\n"
      "reference of more than float64's precision. Without INPUT: random\n"
      "tensors of every element type, layout, option and range of values.");
  command->footer(absl::StrCat(
      FilesHelp(""),
      "Examples:\n"
      "  groupnorm verify --server 10.0.0.7:50051\n"
      "  groupnorm verify x.npy --num-groups 3 --weight w.npy --bias b.npy"));
  const auto flags = std::make_shared<VerifyFlags>();
  AddOperandFlags(*command, flags->operands);
  AddBiasFlag(*command, flags->bias);
  AddGradientModeFlags(*command, flags->frozen_statistics,
                       flags->per_sample_gradients);
  command
      ->add_option("--grad-output", flags->grad_output,
                   "Gradient with respect to the output, of the input's "
                   "element type and shape. Default: random numbers")
      ->type_name(kFileType);
  command
      ->add_option("--seed", flags->seed,
                   "Seed of all random numbers: the same seed gives the same "
                   "tensors everywhere. Default: 1")
      ->type_name("N")
      ->check(SeedFault);
  AddConnectionFlags(*command, flags->connection, kEmbeddedByDefault);

  // Here the files may be left out, but only all of them.
  CLI::Option* const input = command->get_option("INPUT");
  CLI::Option* const num_groups = command->get_option("--num-groups");
  input->required(false)->needs(num_groups);
  num_groups->required(false);
  for (const char* const name :
       {"--num-groups", "--epsilon", "--layout", "--weight", "--bias", "--mean",
        "--rstd", "--dtype", "--frozen-statistics", "--per-sample-gradients",
        "--grad-output"}) {
    command->get_option(name)->needs(input);
  }
  command->callback([flags, &outcome] { outcome = RunVerify(*flags); });
}

Outcome OutcomeOf(const verify::Report& report) {
  if (report.ok()) return {};
  return {ExitCode::kExcess,
          absl::StrFormat("numbers of the server beyond their bounds: %d",
                          report.num_wrong())};
}

}  // namespace groupnorm::cli
