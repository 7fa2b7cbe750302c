#include "server/rounding.h"

#include <gtest/gtest.h>

#include <vector>

#include "tensor/element.h"

namespace groupnorm {
namespace {

TEST(Rounding, RoundsEveryValueOfEveryPartOnce) {
  for (const DataType dtype : kDataTypes) {
    std::vector<double> first(150'000), second(3);
    for (std::size_t i = 0; i < first.size(); ++i) {
      first[i] = 1.0 / static_cast<double>(i + 1);
    }
    second = {1e300, -1e-300, 1.0 / 3};
    const std::size_t size = ElementSize(dtype);
    std::vector<std::byte> first_elements(first.size() * size);
    std::vector<std::byte> second_elements(second.size() * size);
    Rounding rounding(dtype);
    rounding.Add(first, first_elements.data());
    rounding.Add(second, second_elements.data());
    EXPECT_EQ(rounding.num_tasks(0), 4);
    RunComputation(rounding);

    std::vector<std::byte> expected(first_elements.size());
    DoublesToElements(dtype, first, expected.data());
    EXPECT_EQ(first_elements, expected);
    expected.resize(second_elements.size());
    DoublesToElements(dtype, second, expected.data());
    EXPECT_EQ(second_elements, expected);
  }
}

TEST(Rounding, HasNoTaskWithoutValues) {
  EXPECT_EQ(Rounding(DataType::kFloat32).num_tasks(0), 0);
}

}  // namespace
}  // namespace groupnorm
