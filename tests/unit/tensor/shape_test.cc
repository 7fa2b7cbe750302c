#include "groupnorm/shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <vector>

#include "groupnorm/tensor_view.h"

namespace groupnorm {
namespace {

using testing::ElementsAre;

constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

std::string Fault(const std::vector<std::int64_t>& extents) {
  const absl::StatusOr<Shape> shape = Shape::Create(extents);
  EXPECT_EQ(shape.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(shape.status().message());
}

TEST(ShapeTest, HoldsItsExtents) {
  const Shape shape{2, 6, 0, 4};
  EXPECT_EQ(shape.rank(), 4);
  EXPECT_EQ(shape.extent(1), 6);
  EXPECT_THAT(shape.extents(), ElementsAre(2, 6, 0, 4));
  EXPECT_EQ(shape.num_elements(), 0);
  EXPECT_EQ(shape.ToString(), "[2, 6, 0, 4]");
  EXPECT_EQ((Shape{2, 6, 5, 4}).num_elements(), 240);
}

TEST(ShapeTest, HasOneElementAtRankZero) {
  EXPECT_EQ(Shape().rank(), 0);
  EXPECT_EQ(Shape().num_elements(), 1);
  EXPECT_EQ(Shape().ToString(), "[]");
  ASSERT_TRUE(Shape::Create({}).ok());
  EXPECT_EQ(*Shape::Create({}), Shape());
}

TEST(ShapeTest, ComparesRankAndExtents) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_NE((Shape{2, 3}), (Shape{3, 2}));
  EXPECT_NE((Shape{2, 3}), (Shape{2, 3, 1}));
  EXPECT_NE((Shape{0}), (Shape{0, 0}));
}

TEST(ShapeTest, AcceptsSixteenAxesAndNoMore) {
  std::vector<std::int64_t> extents(16, 1);
  extents.back() = 5;
  const absl::StatusOr<Shape> shape = Shape::Create(extents);
  ASSERT_TRUE(shape.ok());
  EXPECT_EQ(shape->rank(), 16);
  EXPECT_EQ(shape->extent(15), 5);
  extents.push_back(1);
  EXPECT_EQ(Fault(extents), "rank 17, expected at most 16");
}

TEST(ShapeTest, RejectsNegativeExtents) {
  EXPECT_EQ(Fault({2, -1, 4}), "extent -1, expected 0 or more");
  EXPECT_EQ(Fault({0, std::numeric_limits<std::int64_t>::min()}),
            "extent -9223372036854775808, expected 0 or more");
}

TEST(ShapeTest, AcceptsProductsBelowTwoToTheSixtieth) {
  const std::int64_t largest = (std::int64_t{1} << 60) - 1;
  const absl::StatusOr<Shape> shape = Shape::Create(std::vector{largest});
  ASSERT_TRUE(shape.ok());
  EXPECT_EQ(shape->num_elements(), largest);
  // 2^60 - 1 = (2^30 - 1) (2^30 + 1).
  const std::int64_t half = std::int64_t{1} << 30;
  EXPECT_EQ((Shape{half - 1, half + 1}).num_elements(), largest);
}

TEST(ShapeTest, RejectsProductsOfTwoToTheSixtiethAndMore) {
  EXPECT_EQ(Fault({std::int64_t{1} << 60}),
            "[1152921504606846976], expected a product below 2^60 (zeros "
            "counted as ones)");
  EXPECT_EQ(Fault({std::int64_t{1} << 30, std::int64_t{1} << 30}),
            "[1073741824, 1073741824], expected a product below 2^60 (zeros "
            "counted as ones)");
  // The plain product wraps round to 0, to 1 and to a small number.
  const std::int64_t two32 = std::int64_t{1} << 32;
  Fault({two32, two32});
  Fault({kMax, kMax});
  Fault({two32 + 1, two32 - 1, 2});
}

TEST(ShapeTest, CountsZerosAsOnesInTheProduct) {
  EXPECT_EQ((Shape{0, std::int64_t{1} << 59}).num_elements(), 0);
  EXPECT_EQ(Fault({0, std::int64_t{1} << 60}),
            "[0, 1152921504606846976], expected a product below 2^60 (zeros "
            "counted as ones)");
  EXPECT_EQ(Fault({std::int64_t{1} << 60, 0}),
            "[1152921504606846976, 0], expected a product below 2^60 (zeros "
            "counted as ones)");
}

TEST(ShapeDeathTest, EndsTheProcessForWrongLiterals) {
  EXPECT_DEATH((Shape{2, -1}), "");
}

TEST(ExtentsToStringTest, WritesWhatIsNoShape) {
  EXPECT_EQ(ExtentsToString(std::vector<std::int64_t>{-1, kMax}),
            "[-1, 9223372036854775807]");
}

TEST(TensorViewTest, CountsItsBytes) {
  TensorView view{DataType::kFloat16, Shape{2, 3, 5}, nullptr};
  EXPECT_EQ(view.size_bytes(), 60);
  view.dtype = DataType::kFloat64;
  EXPECT_EQ(view.size_bytes(), 240);
  view.shape = Shape{2, 0, 5};
  EXPECT_EQ(view.size_bytes(), 0);
  // The largest shape of the largest elements.
  view.shape = Shape{(std::int64_t{1} << 60) - 1};
  EXPECT_EQ(view.size_bytes(), (std::size_t{1} << 63) - 8);
}

TEST(TensorViewTest, IsTheWeakerFormOfAMutableView) {
  float values[6] = {};
  const MutableTensorView mutable_view{DataType::kFloat32, Shape{2, 3}, values};
  EXPECT_EQ(mutable_view.size_bytes(), sizeof(values));
  const TensorView view = mutable_view;
  EXPECT_EQ(view.dtype, DataType::kFloat32);
  EXPECT_EQ(view.shape, (Shape{2, 3}));
  EXPECT_EQ(view.data, values);
}

}  // namespace
}  // namespace groupnorm
