#include "groupnorm/dtype.h"

#include <gtest/gtest.h>

#include <limits>

namespace groupnorm {
namespace {

TEST(DataTypeTest, HasTheNamesAndValuesOfTheContract) {
  EXPECT_EQ(DataTypeName(DataType::kFloat32), "FLOAT32");
  EXPECT_EQ(DataTypeName(DataType::kFloat64), "FLOAT64");
  EXPECT_EQ(DataTypeName(DataType::kFloat16), "FLOAT16");
  EXPECT_EQ(DataTypeName(DataType::kBfloat16), "BFLOAT16");
  EXPECT_EQ(DataTypeFromValue(1), DataType::kFloat32);
  EXPECT_EQ(DataTypeFromValue(2), DataType::kFloat64);
  EXPECT_EQ(DataTypeFromValue(3), DataType::kFloat16);
  EXPECT_EQ(DataTypeFromValue(4), DataType::kBfloat16);
}

TEST(DataTypeTest, KnowsNoOtherValues) {
  for (const std::int32_t value :
       {0, 5, -1, 256 + 1, std::numeric_limits<std::int32_t>::max(),
        std::numeric_limits<std::int32_t>::min()}) {
    EXPECT_EQ(DataTypeFromValue(value), std::nullopt) << value;
  }
}

TEST(DataTypeTest, KnowsTheSizeOfAnElement) {
  EXPECT_EQ(ElementSize(DataType::kFloat32), 4);
  EXPECT_EQ(ElementSize(DataType::kFloat64), 8);
  EXPECT_EQ(ElementSize(DataType::kFloat16), 2);
  EXPECT_EQ(ElementSize(DataType::kBfloat16), 2);
}

}  // namespace
}  // namespace groupnorm
