#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>

#include "client/cli/verify/report.h"

namespace groupnorm::verify {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

OutputCheck Right(Output output, DataType dtype, std::int64_t num_values,
                  long double absolute, long double ulp, long double ratio) {
  OutputCheck check = {output, dtype, num_values, {}, std::nullopt};
  check.comparison.max_absolute_error = absolute;
  check.comparison.max_ulp_error = ulp;
  check.comparison.max_bound_ratio = ratio;
  return check;
}

TEST(VerifyReport, TablesEachOutputByItsElementType) {
  Report report;
  report.Add("first", true,
             std::array{Right(Output::kOutput, DataType::kFloat32, 1'234'567,
                              1.19e-7L, 0.5L, 0.167L),
                        Right(Output::kMean, DataType::kFloat64, 12, 0, 0, 0),
                        Right(Output::kRstd, DataType::kFloat64, 12, 1e-16L,
                              0.9L, 1e-5L)});
  report.Add(
      "second", true,
      std::array{
          Right(Output::kOutput, DataType::kFloat32, 3, 1e-6L, 0.4L, 0.2L),
          Right(Output::kOutput, DataType::kBfloat16, 5, 0.01L, 0.5L, 0),
          Right(Output::kGradWeight, DataType::kFloat64, 7, 1e-13L, 40,
                0.03L)});
  report.Add("third", false,
             std::array{Right(Output::kOutput, DataType::kFloat32, 10, 1e-7L,
                              0.5L, 0.1L)});
  report.AddNotRun("FLOAT16 mean 1e4", "all values round to 10000");
  report.AddNotRun("FLOAT16 mean 1e4", "all values round to 10000");
  report.AddNotRun("FLOAT16 1e30", "FLOAT16 cannot hold the values");
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.ToString(), R"(Values of ordinary size
output      dtype         values max error   max ulp error/bound  bound
output      FLOAT32    1,234,570     1e-06       0.5         0.2  3 ulp of max(|v|, T)         ok
output      BFLOAT16           5      0.01       0.5           0  FLOAT32's, then rounded      ok
mean        FLOAT64           12         0         0           0  1e-12 std + 1 ulp            ok
rstd        FLOAT64           12     1e-16       0.9       1e-05  1e-11 |v|, FLOAT64 1e-12     ok
grad_weight FLOAT64            7     1e-13        40        0.03  1e-12 or 1.1e-11 max(|v|, T) ok

At the ends of the number range
output      dtype         values max error   max ulp error/bound  bound
output      FLOAT32           10     1e-07       0.5         0.1  3 ulp of max(|v|, T)         ok

max ulp: units in the last place of max(|v|, T); v: the right value, T: its typical magnitude.
error/bound: at most 1 is right; of 16-bit values, which are right or wrong, 0 is.
Backward without statistics may also miss by what the rounding of its mean brings: docs/math.md.

Not run:
  FLOAT16 mean 1e4: all values round to 10000 (2 cells)
  FLOAT16 1e30: FLOAT16 cannot hold the values (1 cell)

6 requests, 1,234,616 values compared: all within their bounds
)");
}

TEST(VerifyReport, NamesTheFirstWrongValues) {
  OutputCheck wrong =
      Right(Output::kGradInput, DataType::kFloat32, 90, 0.25L, 4e6L, 1e6L);
  wrong.comparison.num_wrong = 2;
  wrong.comparison.first_wrong = 17;
  wrong.first_wrong = WrongElement{17, 1.0L, 3e-7L, 1.25};
  Report report;
  report.Add("FLOAT32 somewhere", true, std::array{wrong});
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(
      report.ToString(),
      R"(output      dtype         values max error   max ulp error/bound  bound
grad_input  FLOAT32           90      0.25     4e+06       1e+06  3 ulp of max(|v|, T)         EXCEEDED

max ulp: units in the last place of max(|v|, T); v: the right value, T: its typical magnitude.
error/bound: at most 1 is right; of 16-bit values, which are right or wrong, 0 is.
Backward without statistics may also miss by what the rounding of its mean brings: docs/math.md.

First wrong value of each row:
FLOAT32 somewhere:
  grad_input[17] (FLOAT32): expected 1, got 1.25, bound 3e-07; 2 of 90 values are wrong

2 requests, 90 values compared: 2 values EXCEEDED the bound
)");
}

TEST(VerifyReport, NamesTheFirstWrongValueOfEachOfSixRows) {
  Report report;
  for (const Output output : {Output::kOutput, Output::kGradInput}) {
    for (const DataType dtype : kDataTypes) {
      OutputCheck wrong = Right(output, dtype, 1, 1, 1,
                                std::numeric_limits<long double>::infinity());
      wrong.comparison.num_wrong = 1;
      wrong.first_wrong = WrongElement{};
      report.Add("first", true, std::array{wrong});
      report.Add("second", true, std::array{wrong});
    }
  }
  const std::string text = report.ToString();
  EXPECT_THAT(text, HasSubstr("first:\n  output[0] (BFLOAT16)"));
  EXPECT_THAT(text, HasSubstr("first:\n  grad_input[0] (FLOAT64)"));
  EXPECT_THAT(text, Not(HasSubstr("grad_input[0] (FLOAT16)")));
  EXPECT_THAT(text, Not(HasSubstr("second")));
  EXPECT_THAT(text, HasSubstr(": 16 values EXCEEDED the bound\n"));
}

}  // namespace
}  // namespace groupnorm::verify
