#include "client/cli/verify_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Error.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "client/cli/files/tensor_file.h"
#include "tensor/element.h"

namespace groupnorm::cli {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

// Runs `groupnorm` in a folder of its own for `.npy` files.
class VerifyCommand : public ::testing::Test {
 protected:
  VerifyCommand() {
    AddVerifyCommand(app, outcome);
    std::filesystem::create_directories(folder);
  }
  ~VerifyCommand() override { std::filesystem::remove_all(folder); }

  std::string Path(const std::string& name) const { return folder / name; }

  // Writes values that differ from each other and returns the path.
  std::string Write(const std::string& name, DataType dtype,
                    const Shape& shape) const {
    std::vector<double> values(static_cast<std::size_t>(shape.num_elements()));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = 1 + static_cast<double>(i * i % 17) / 8;
    }
    OwnedTensor tensor(dtype, shape);
    DoublesToElements(dtype, values, tensor.data());
    absl::StatusOr<TensorOutput> output = TensorOutput::Open(Path(name));
    EXPECT_TRUE(output.ok()) << output.status();
    EXPECT_TRUE(output->Write(tensor.view(), "x").ok());
    EXPECT_TRUE(output->Commit().ok());
    return Path(name);
  }

  // What it prints. CLI11 takes arguments from the back.
  std::string Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "verify");
    std::reverse(arguments.begin(), arguments.end());
    ::testing::internal::CaptureStdout();
    ::testing::internal::CaptureStderr();
    try {
      app.parse(arguments);
    } catch (const CLI::ParseError& error) {
      outcome = {ExitCode::kUsage, error.what()};
    }
    std::fflush(stdout);
    diagnostics = ::testing::internal::GetCapturedStderr();
    return ::testing::internal::GetCapturedStdout();
  }

  const std::filesystem::path folder =
      std::filesystem::path(::testing::TempDir()) /
      ("verify_command_test_" + std::to_string(getpid()));
  CLI::App app{"", "groupnorm"};
  Outcome outcome;
  std::string diagnostics;
};

TEST_F(VerifyCommand, ComparesTheUsersTensorWithinThisProcess) {
  const std::string input = Write("x.npy", DataType::kFloat32, {2, 6, 5});
  const std::string text = Run({input, "--num-groups", "3"});
  EXPECT_EQ(outcome.code, ExitCode::kOk) << outcome.message;
  EXPECT_THAT(text, StartsWith("server: within this process, version "));
  EXPECT_THAT(text,
              HasSubstr(input + ": FLOAT32 [2, 6, 5], 3 groups; grad_output: "
                                "random, of seed 1\n"));
  EXPECT_THAT(text, AllOf(HasSubstr("\noutput      FLOAT32           60 "),
                          HasSubstr("\nmean        FLOAT64            6 "),
                          HasSubstr("\nrstd        FLOAT64            6 "),
                          HasSubstr("\ngrad_input  FLOAT32           60 "),
                          HasSubstr("\ngrad_weight FLOAT32            6 "),
                          HasSubstr("\ngrad_bias   FLOAT32            6 ")));
  EXPECT_THAT(text, EndsWith("2 requests, 144 values compared: all within "
                             "their bounds\n"));
  EXPECT_THAT(diagnostics, Not(HasSubstr("cells")));
}

TEST_F(VerifyCommand, TakesEveryFileAndOption) {
  const std::string text = Run(
      {Write("x.npy", DataType::kBfloat16, {2, 5, 6}), "--dtype", "bfloat16",
       "--layout", "channels-last", "--num-groups", "2", "--epsilon", "0.5",
       "--weight", Write("w.npy", DataType::kFloat64, {6}), "--bias",
       Write("b.npy", DataType::kFloat16, {6}), "--mean",
       Write("mean.npy", DataType::kFloat64, {2, 2}), "--rstd",
       Write("rstd.npy", DataType::kFloat32, {2, 2}), "--grad-output",
       Write("g.npy", DataType::kBfloat16, {2, 5, 6})});
  EXPECT_EQ(outcome.code, ExitCode::kOk) << outcome.message;
  EXPECT_THAT(text, AllOf(HasSubstr("BFLOAT16 [2, 5, 6], 2 groups; "
                                    "grad_output: " +
                                    Path("g.npy")),
                          HasSubstr("\noutput      BFLOAT16          60 "),
                          HasSubstr("\nmean        FLOAT64            4 "),
                          HasSubstr("\ngrad_weight FLOAT64            6 ")));
}

TEST_F(VerifyCommand, DrawsTheGradOutputFromTheSeed) {
  const std::string input = Write("x.npy", DataType::kFloat32, {2, 6, 5});
  EXPECT_THAT(Run({input, "--num-groups", "3", "--seed", "42"}),
              HasSubstr("grad_output: random, of seed 42\n"));
  EXPECT_EQ(outcome.code, ExitCode::kOk) << outcome.message;
}

TEST_F(VerifyCommand, GivesTheServersWordOnAProblemThatBreaksTheContract) {
  Run({Write("x.npy", DataType::kFloat32, {2, 6, 5}), "--num-groups", "4"});
  EXPECT_EQ(outcome.code, ExitCode::kRefused);
  EXPECT_THAT(outcome.message,
              StartsWith("INVALID_ARGUMENT: config.num_groups: 4"));
}

TEST_F(VerifyCommand, NamesTheFileThatItCannotRead) {
  Run({Path("none.npy"), "--num-groups", "4"});
  EXPECT_EQ(outcome.code, ExitCode::kFile);
  EXPECT_THAT(outcome.message, StartsWith(Path("none.npy")));
}

TEST_F(VerifyCommand, NamesTheServerThatDoesNotAnswer) {
  const std::string server = "unix:" + Path("nobody");
  Run({"--server", server});
  EXPECT_EQ(outcome.code, ExitCode::kNoAnswer);
  EXPECT_THAT(outcome.message, HasSubstr(server));
}

TEST_F(VerifyCommand, TakesNoFileOptionsWithoutAnInput) {
  Run({"--num-groups", "3"});
  EXPECT_EQ(outcome.code, ExitCode::kUsage);
  EXPECT_THAT(outcome.message, HasSubstr("--num-groups requires INPUT"));
  Run({"--grad-output", "g.npy"});
  EXPECT_EQ(outcome.code, ExitCode::kUsage);
  EXPECT_THAT(outcome.message, HasSubstr("--grad-output requires INPUT"));
}

TEST_F(VerifyCommand, NeedsTheNumberOfGroupsOfAnInput) {
  Run({"x.npy"});
  EXPECT_EQ(outcome.code, ExitCode::kUsage);
  EXPECT_THAT(outcome.message, HasSubstr("INPUT requires --num-groups"));
}

TEST(VerifyOutcome, IsAnExcessWhereOneNumberIsWrong) {
  verify::OutputCheck check;
  check.num_values = 1;
  check.dtype = DataType::kBfloat16;
  verify::Report report;
  report.Add("right", true, std::array{check});
  EXPECT_EQ(OutcomeOf(report).code, ExitCode::kOk);
  check.comparison.num_wrong = 1;
  check.comparison.max_bound_ratio =
      std::numeric_limits<long double>::infinity();
  check.first_wrong = verify::WrongElement{};
  report.Add("wrong", true, std::array{check});
  EXPECT_EQ(OutcomeOf(report).code, ExitCode::kExcess);
  EXPECT_EQ(OutcomeOf(report).message,
            "numbers of the server beyond their bounds: 1");
}

}  // namespace
}  // namespace groupnorm::cli
