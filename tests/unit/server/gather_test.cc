#include "server/gather.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

#include "tensor/element.h"

namespace groupnorm {
namespace {

using ::testing::Each;

// A message of the bytes, in slices of `slice_bytes`.
MessageSlices Sliced(const std::string& bytes, std::size_t slice_bytes) {
  std::vector<grpc::Slice> slices;
  for (std::size_t at = 0; at < bytes.size(); at += slice_bytes) {
    slices.emplace_back(bytes.substr(at, slice_bytes));
  }
  return MessageSlices(std::move(slices));
}

TensorPayload Vector(DataType dtype, std::int64_t length, std::size_t offset) {
  return {
      .dtype = dtype,
      .shape = {length},
      .data = {.offset = offset,
               .size = static_cast<std::size_t>(length) * ElementSize(dtype)}};
}

TEST(Gather, CopiesElementsAcrossSlicesAndTasks) {
  // More than one task, from a start that is not aligned.
  constexpr std::size_t kBytes = (std::size_t{5} << 20) / 2;
  std::string message = "abc";
  for (std::size_t i = 0; i < kBytes; ++i) {
    message += static_cast<char>(i * i >> 7);
  }
  std::vector<std::byte> destination(kBytes);
  Gather gather(Sliced(message, 65536 - 9), [] {});
  gather.AddElements(Vector(DataType::kFloat16, kBytes / 2, 3),
                     destination.data());
  EXPECT_EQ(gather.num_tasks(0), 3);
  RunComputation(gather);
  EXPECT_EQ(
      message.compare(
          3, kBytes, reinterpret_cast<const char*>(destination.data()), kBytes),
      0);
}

TEST(Gather, ConvertsEveryElementTypeToDoubles) {
  for (const DataType dtype : kDataTypes) {
    constexpr std::size_t kCount = 300'000;
    std::vector<double> values(kCount);
    for (std::size_t i = 0; i < kCount; ++i) {
      values[i] = static_cast<double>(i % 256);
    }
    std::string message(7 + kCount * ElementSize(dtype), 'x');
    DoublesToElements(dtype, values, message.data() + 7);
    std::vector<double> destination(kCount);
    Gather gather(Sliced(message, 1001), [] {});
    gather.AddDoubles(Vector(dtype, kCount, 7), destination);
    EXPECT_EQ(gather.num_tasks(0), 3);
    RunComputation(gather);
    EXPECT_EQ(destination, values) << DataTypeName(dtype);
  }
}

TEST(Gather, FillsInWhatIsAbsent) {
  std::vector<double> ones(200'000), zeros(1, 5.0);
  Gather gather(MessageSlices(), [] {});
  gather.AddConstant(1.0, ones);
  gather.AddConstant(0.0, zeros);
  EXPECT_EQ(gather.num_tasks(0), 3);
  RunComputation(gather);
  EXPECT_THAT(ones, Each(1.0));
  EXPECT_THAT(zeros, Each(0.0));
}

TEST(Gather, SaysOnceThatTheMessageIsNoLongerNeeded) {
  int gathered = 0;
  std::vector<std::byte> destination(16);
  std::vector<double> parameter(2);
  Gather gather(Sliced(std::string(16, 'x'), 4), [&gathered] { ++gathered; });
  gather.AddElements(Vector(DataType::kFloat32, 4, 0), destination.data());
  gather.AddConstant(1.0, parameter);
  ASSERT_EQ(gather.num_tasks(0), 2);
  gather.RunTask(0, 1);
  EXPECT_EQ(gathered, 0);
  gather.RunTask(0, 0);
  EXPECT_EQ(gathered, 1);
}

TEST(Gather, HasNoTaskForEmptyTensors) {
  std::byte destination{};
  Gather gather(MessageSlices(), [] { FAIL(); });
  gather.AddElements(Vector(DataType::kFloat32, 0, 0), &destination);
  gather.AddConstant(1.0, {});
  EXPECT_EQ(gather.num_tasks(0), 0);
}

}  // namespace
}  // namespace groupnorm
