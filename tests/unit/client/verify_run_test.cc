#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "client/cli/verify/run.h"
#include "client/cli/verify/values.h"
#include "tests/unit/client/verify_fake_service.h"

namespace groupnorm::verify {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::uint64_t kSeed = 7;

void IgnoreProgress(std::size_t) {}

// Every small cell of the matrix in steps of a prime, so that every choice
// occurs with most others.
std::vector<Cell> SomeCells() {
  constexpr std::int64_t kSmall = 10'000;
  constexpr std::size_t kStep = 23;
  const std::vector<Cell> all = MatrixCells();
  std::vector<Cell> cells;
  for (std::size_t i = 0; i < all.size(); i += kStep) {
    if (all[i].shape.num_elements() < kSmall) cells.push_back(all[i]);
  }
  return cells;
}

Cell CellOf(DataType dtype) {
  Cell cell;
  cell.dtype = dtype;
  cell.parameter_dtype = dtype;
  cell.shape = {3, 6, 5};
  cell.num_groups = 3;
  cell.range = {.name = "mean 30", .mean = 30};
  return cell;
}

// The text of the report on one cell, whose service must be found wrong.
std::string WrongReport(const Cell& cell, const Service& service) {
  const absl::StatusOr<Report> report =
      RunCells(service, std::vector<Cell>{cell}, kSeed, IgnoreProgress);
  if (!report.ok()) return std::string(report.status().message());
  EXPECT_FALSE(report->ok());
  return report->ToString();
}

// Adds `ulps` to element `index` of `which`, whose elements are of type Bits.
template <typename Bits>
Spoiler AddUlps(Output which, std::size_t index, Bits ulps) {
  return [=](Output output, DataType, std::byte* data, std::size_t size) {
    if (output != which) return;
    ASSERT_EQ(size % sizeof(Bits), 0U);
    ASSERT_LT(index * sizeof(Bits), size);
    Bits bits;
    std::memcpy(&bits, data + index * sizeof(Bits), sizeof(Bits));
    bits = static_cast<Bits>(bits + ulps);
    std::memcpy(data + index * sizeof(Bits), &bits, sizeof(Bits));
  };
}

TEST(VerifyRun, FindsNothingWrongWithTheRoundedReference) {
  const absl::StatusOr<Report> report =
      RunCells(FakeService(), SomeCells(), kSeed, IgnoreProgress);
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_TRUE(report->ok()) << report->ToString();
  EXPECT_THAT(report->ToString(), HasSubstr("all within their bounds"));
}

TEST(VerifyRun, FindsOneBfloat16OffByOneUlp) {
  EXPECT_THAT(
      WrongReport(CellOf(DataType::kBfloat16),
                  FakeService(AddUlps<std::uint16_t>(Output::kOutput, 17, 1))),
      AllOf(HasSubstr("BFLOAT16 channels first [3, 6, 5], 3 groups"),
            HasSubstr("output[17] (BFLOAT16): expected "),
            HasSubstr("1 of 90 values are wrong"),
            HasSubstr(": 1 value EXCEEDED the bound\n")));
}

TEST(VerifyRun, FindsOneFloat32OffByEightUlp) {
  // 8 ulp are beyond 3 ulp of the typical magnitude where the value is at least
  // half of that: which holds for this element.
  EXPECT_THAT(WrongReport(CellOf(DataType::kFloat32),
                          FakeService(AddUlps<std::uint32_t>(Output::kGradInput,
                                                             3, 8))),
              HasSubstr("grad_input[3] (FLOAT32): expected "));
}

TEST(VerifyRun, FindsAWrongParameterGradientAndWrongStatistics) {
  for (const Output output : {Output::kGradWeight, Output::kGradBias}) {
    EXPECT_THAT(WrongReport(CellOf(DataType::kFloat16),
                            FakeService(AddUlps<std::uint16_t>(output, 5, 1))),
                HasSubstr(std::string(OutputName(output)) + "[5] (FLOAT16)"));
  }
  // 1e5 ulp of a double are 2e-11 of it.
  for (const Output output : {Output::kMean, Output::kRstd}) {
    EXPECT_THAT(
        WrongReport(CellOf(DataType::kFloat32),
                    FakeService(AddUlps<std::uint64_t>(output, 8, 100'000))),
        HasSubstr(std::string(OutputName(output)) + "[8] (FLOAT64)"));
  }
}

TEST(VerifyRun, FindsADroppedBias) {
  Service service = FakeService();
  service.forward = [forward = service.forward](ForwardArguments arguments,
                                                const ForwardResults& results) {
    arguments.bias = std::nullopt;
    return forward(arguments, results);
  };
  EXPECT_THAT(WrongReport(CellOf(DataType::kFloat32), service),
              HasSubstr("output[0] (FLOAT32): expected "));
}

TEST(VerifyRun, FindsIgnoredStatistics) {
  Service service = FakeService();
  service.backward = [backward = service.backward](
                         BackwardArguments arguments,
                         const BackwardResults& results) {
    arguments.statistics = std::nullopt;
    return backward(arguments, results);
  };
  Cell cell = CellOf(DataType::kBfloat16);
  cell.statistics = StatisticsMode::kGiven;
  EXPECT_THAT(WrongReport(cell, service), HasSubstr("grad_input["));
}

TEST(VerifyRun, FindsResultsThatWereNeverWritten) {
  Service service = FakeService();
  service.forward = [](const ForwardArguments&, const ForwardResults&) {
    return absl::OkStatus();
  };
  EXPECT_THAT(WrongReport(CellOf(DataType::kFloat64), service),
              HasSubstr("90 of 90 values are wrong"));
}

TEST(VerifyRun, NamesTheCellWhoseCallFails) {
  Service service = FakeService();
  service.backward = [](const BackwardArguments&, const BackwardResults&) {
    return absl::UnavailableError("no server at 127.0.0.1:1");
  };
  const Cell cell = CellOf(DataType::kFloat32);
  const absl::StatusOr<Report> report =
      RunCells(service, std::vector<Cell>{cell}, kSeed, IgnoreProgress);
  EXPECT_EQ(report.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(report.status().message(),
            Describe(cell) + ": no server at 127.0.0.1:1");
}

TEST(VerifyRun, LeavesProblemsThatBreakTheContractToTheService) {
  Service service = FakeService();
  service.forward = [](const ForwardArguments& arguments,
                       const ForwardResults&) {
    return absl::InvalidArgumentError(std::to_string(arguments.num_groups));
  };
  const TensorData no_channels = {DataType::kFloat32, {0}, {}};
  for (const std::int64_t num_groups : {-1, 0, 7, 1'000'000'000}) {
    Problem problem = MakeProblem(CellOf(DataType::kFloat32), kSeed, 0);
    problem.num_groups = num_groups;
    EXPECT_EQ(CheckProblem(service, problem).status(),
              absl::InvalidArgumentError(std::to_string(num_groups)));
    problem.input = no_channels;
    EXPECT_EQ(CheckProblem(service, problem).status(),
              absl::InvalidArgumentError(std::to_string(num_groups)));
  }
}

TEST(VerifyRun, TellsItsProgress) {
  std::vector<std::size_t> told;
  const std::vector<Cell> cells(3, CellOf(DataType::kFloat32));
  const absl::StatusOr<Report> report =
      RunCells(FakeService(), cells, kSeed,
               [&](std::size_t num_done) { told.push_back(num_done); });
  ASSERT_TRUE(report.ok()) << report.status();
  EXPECT_EQ(told, (std::vector<std::size_t>{0, 1, 2}));
}

}  // namespace
}  // namespace groupnorm::verify
