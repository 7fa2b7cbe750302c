#include "tests/unit/kernels/kernel_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <utility>

#include "tensor/element.h"
#include "tests/unit/kernels/sanitized.h"
#include "tests/unit/kernels/simd_targets.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

namespace groupnorm {

namespace {

constexpr std::size_t kGuardBytes = 64;
constexpr std::byte kPoison{0xFF};
constexpr std::byte kGuard{0xA5};

// What AddressSanitizer is to refuse from now on; the guards lie within
// allocated memory, so it does not by itself.
void ForbidAccess([[maybe_unused]] const std::byte* begin,
                  [[maybe_unused]] const std::byte* end) {
#ifdef __SANITIZE_ADDRESS__
  __asan_poison_memory_region(begin, static_cast<std::size_t>(end - begin));
#endif
}

void AllowAccess([[maybe_unused]] const Bytes& memory) {
#ifdef __SANITIZE_ADDRESS__
  __asan_unpoison_memory_region(memory.data(), memory.size());
#endif
}

// Memory `misalignment` bytes behind a multiple of 64, between guards.
class GuardedBytes {
 public:
  GuardedBytes(std::size_t size, std::size_t misalignment)
      : size_(size), memory_(size + 4 * kGuardBytes, kGuard) {
    auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
    const std::uintptr_t aligned =
        (address + 2 * kGuardBytes - 1) / kGuardBytes * kGuardBytes;
    data_ = memory_.data() + (aligned - address) + misalignment;
    std::fill(data_, data_ + size_, kPoison);
    ForbidAccess(memory_.data(), data_);
    ForbidAccess(data_ + size_, memory_.data() + memory_.size());
  }

  GuardedBytes(const Bytes& bytes, std::size_t misalignment)
      : GuardedBytes(bytes.size(), misalignment) {
    if (!bytes.empty()) std::memcpy(data_, bytes.data(), bytes.size());
  }

  ~GuardedBytes() {
    AllowAccess(memory_);
    for (const std::byte* p = memory_.data();
         p != memory_.data() + memory_.size(); ++p) {
      if (p == data_) p += size_;
      if (p == memory_.data() + memory_.size()) break;
      EXPECT_EQ(*p, kGuard)
          << "at " << p - data_ << " of " << size_ << " bytes";
      if (*p != kGuard) return;
    }
  }

  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;

  std::byte* data() { return data_; }
  double* doubles() { return reinterpret_cast<double*>(data_); }
  Bytes bytes() const { return {data_, data_ + size_}; }

  std::vector<double> ToDoubles() const {
    std::vector<double> values(size_ / sizeof(double));
    if (size_ != 0) std::memcpy(values.data(), data_, size_);
    return values;
  }

 private:
  std::size_t size_;
  Bytes memory_;
  std::byte* data_;
};

GuardedBytes FromDoubles(const std::vector<double>& values) {
  return GuardedBytes(ToElements(DataType::kFloat64, values), sizeof(double));
}

GuardedBytes Doubles(std::int64_t count) {
  return GuardedBytes(static_cast<std::size_t>(count) * sizeof(double),
                      sizeof(double));
}

// Each tensor of a case at a distance of its own from an aligned address.
std::size_t Misalignment(const KernelInputs& c, std::size_t elements) {
  return c.aligned ? 0 : elements * ElementSize(c.dtype);
}

std::int64_t NumStatistics(const KernelInputs& c) {
  return c.geometry.batch * c.geometry.num_groups;
}

TensorView Float64View(const std::vector<double>& values, const Shape& shape) {
  return {DataType::kFloat64, shape, values.data()};
}

template <typename Inputs>
void SetReferenceInputs(const KernelInputs& c, Inputs& inputs) {
  inputs.geometry = c.geometry;
  inputs.epsilon = c.epsilon;
  inputs.input = {c.dtype, c.shape(), c.input.data()};
  inputs.weight = Float64View(c.weight, {c.geometry.channels});
  if (!c.statistics_given()) return;
  const Shape shape = {c.geometry.batch, c.geometry.num_groups};
  inputs.mean = Float64View(c.mean, shape);
  inputs.rstd = Float64View(c.rstd, shape);
}

void ExpectWithinBounds(const char* name, const reference::Expected& expected,
                        const void* actual) {
  const auto size = static_cast<std::int64_t>(expected.value.size());
  const TensorView view = {expected.dtype, {size}, actual};
  const reference::Comparison comparison = Compare(expected, view);
  if (comparison.ok()) return;
  const std::size_t first = comparison.first_wrong;
  std::vector<double> values(expected.value.size());
  ElementsToDoubles(expected.dtype, actual, values);
  ADD_FAILURE() << name << ": " << comparison.num_wrong << " of " << size
                << " wrong, up to " << comparison.max_bound_ratio
                << " bounds; first [" << first << "] " << values[first]
                << ", expected " << expected.value[first] << " within "
                << expected.bound[first];
}

// Counts what is not compared with the reference, and says so at the end.
class LeftOutComparisons : public ::testing::Environment {
 public:
  bool LeaveOut(const KernelInputs& c) {
    const bool left_out =
        kSanitized && c.geometry.num_elements() > kMaxElements;
    if (left_out) ++count_;
    return left_out;
  }

  void TearDown() override {
    if (count_ == 0) return;
    std::cout << "left out under the sanitizer: " << count_
              << " comparisons with the reference, of more than "
              << kMaxElements << " elements each\n";
  }

 private:
  static constexpr std::int64_t kMaxElements = 500;

  int count_ = 0;
};

// Owned by googletest.
LeftOutComparisons* const kLeftOutComparisons = [] {
  auto* const environment = new LeftOutComparisons;
  ::testing::AddGlobalTestEnvironment(environment);
  return environment;
}();

template <typename Result, typename Case, typename Run>
void CheckUnderEverySimdTarget(const Case& c, Run run) {
  std::optional<Result> first;
  ForEachSupportedSimdTarget([&](const SimdTargetOfKernels& target) {
    SCOPED_TRACE(std::string(target.name));
    Result result = run(c);
    if (first.has_value()) {
      ExpectSame(c, result, *first);
      return;
    }
    if (!kLeftOutComparisons->LeaveOut(c)) ExpectMatchesReference(c, result);
    first = std::move(result);
  });
}

}  // namespace

Bytes ToElements(DataType dtype, const std::vector<double>& values) {
  Bytes elements(values.size() * ElementSize(dtype));
  DoublesToElements(dtype, values, elements.data());
  return elements;
}

std::vector<double> FromElements(DataType dtype, const Bytes& elements) {
  std::vector<double> values(elements.size() / ElementSize(dtype));
  ElementsToDoubles(dtype, elements.data(), values);
  return values;
}

Shape KernelInputs::shape() const {
  if (geometry.layout == Layout::kChannelsLast) {
    return {geometry.batch, geometry.spatial, geometry.channels};
  }
  return {geometry.batch, geometry.channels, geometry.spatial};
}

ForwardProblem ProblemOf(const ForwardCase& c) {
  return {.geometry = c.geometry,
          .dtype = c.dtype,
          .epsilon = c.epsilon,
          .statistics_given = c.statistics_given()};
}

BackwardProblem ProblemOf(const BackwardCase& c) {
  return {.geometry = c.geometry,
          .dtype = c.dtype,
          .epsilon = c.epsilon,
          .statistics_given = c.statistics_given(),
          .frozen_statistics = c.frozen_statistics,
          .per_sample_gradients = c.per_sample_gradients,
          .want_grad_input = c.want_grad_input,
          .want_grad_weight = c.want_grad_weight,
          .want_grad_bias = c.want_grad_bias};
}

ForwardResult RunForward(const ForwardCase& c, const Runner& run) {
  const ForwardProblem problem = ProblemOf(c);
  GuardedBytes input(c.input, Misalignment(c, 1));
  GuardedBytes output(c.input.size(), Misalignment(c, 3));
  GuardedBytes weight = FromDoubles(c.weight);
  GuardedBytes bias = FromDoubles(c.bias);
  GuardedBytes mean =
      c.statistics_given() ? FromDoubles(c.mean) : Doubles(NumStatistics(c));
  GuardedBytes rstd =
      c.statistics_given() ? FromDoubles(c.rstd) : Doubles(NumStatistics(c));
  GuardedBytes scratch(ForwardScratchBytes(problem), 0);
  const std::unique_ptr<Computation> computation =
      MakeForward(problem, {.input = input.data(),
                            .weight = weight.doubles(),
                            .bias = bias.doubles(),
                            .mean = mean.doubles(),
                            .rstd = rstd.doubles(),
                            .output = output.data(),
                            .scratch = scratch.data()});
  run(*computation);
  return {mean.ToDoubles(), rstd.ToDoubles(), output.bytes()};
}

BackwardResult RunBackward(const BackwardCase& c, const Runner& run) {
  const BackwardProblem problem = ProblemOf(c);
  const std::int64_t rows = c.per_sample_gradients ? c.geometry.batch : 1;
  const std::int64_t sums = rows * c.geometry.channels;
  GuardedBytes input(c.input, Misalignment(c, 1));
  GuardedBytes grad_output(c.grad_output, Misalignment(c, 5));
  GuardedBytes weight = FromDoubles(c.weight);
  GuardedBytes mean = FromDoubles(c.mean);
  GuardedBytes rstd = FromDoubles(c.rstd);
  GuardedBytes grad_input(c.want_grad_input ? c.input.size() : 0,
                          Misalignment(c, 3));
  GuardedBytes grad_weight = Doubles(c.want_grad_weight ? sums : 0);
  GuardedBytes grad_bias = Doubles(c.want_grad_bias ? sums : 0);
  GuardedBytes scratch(BackwardScratchBytes(problem), 0);
  const std::unique_ptr<Computation> computation = MakeBackward(
      problem,
      {.input = input.data(),
       .grad_output = grad_output.data(),
       .weight = weight.doubles(),
       .mean = c.statistics_given() ? mean.doubles() : nullptr,
       .rstd = c.statistics_given() ? rstd.doubles() : nullptr,
       .grad_input = c.want_grad_input ? grad_input.data() : nullptr,
       .grad_weight = c.want_grad_weight ? grad_weight.doubles() : nullptr,
       .grad_bias = c.want_grad_bias ? grad_bias.doubles() : nullptr,
       .scratch = scratch.data()});
  run(*computation);
  return {grad_input.bytes(), grad_weight.ToDoubles(), grad_bias.ToDoubles()};
}

void ExpectMatchesReference(const ForwardCase& c, const ForwardResult& result) {
  reference::ForwardInputs inputs;
  SetReferenceInputs(c, inputs);
  inputs.bias = Float64View(c.bias, {c.geometry.channels});
  const reference::ForwardExpected expected = reference::Forward(inputs);
  ExpectWithinBounds("mean", expected.mean, result.mean.data());
  ExpectWithinBounds("rstd", expected.rstd, result.rstd.data());
  ExpectWithinBounds("output", expected.output, result.output.data());
}

void ExpectMatchesReference(const BackwardCase& c,
                            const BackwardResult& result) {
  reference::BackwardInputs inputs;
  SetReferenceInputs(c, inputs);
  inputs.grad_output = {c.dtype, c.shape(), c.grad_output.data()};
  inputs.frozen_statistics = c.frozen_statistics;
  inputs.per_sample_gradients = c.per_sample_gradients;
  const reference::BackwardExpected expected = reference::Backward(inputs);
  if (c.want_grad_input) {
    ExpectWithinBounds("grad_input", expected.grad_input,
                       result.grad_input.data());
  }
  if (c.want_grad_weight) {
    ExpectWithinBounds("grad_weight", expected.grad_weight,
                       result.grad_weight.data());
  }
  if (c.want_grad_bias) {
    ExpectWithinBounds("grad_bias", expected.grad_bias,
                       result.grad_bias.data());
  }
}

void CheckForward(const ForwardCase& c) {
  CheckUnderEverySimdTarget<ForwardResult>(
      c, [](const ForwardCase& forward) { return RunForward(forward); });
}

void CheckBackward(const BackwardCase& c) {
  CheckUnderEverySimdTarget<BackwardResult>(
      c, [](const BackwardCase& backward) { return RunBackward(backward); });
}

void ExpectSame(const KernelInputs& c, const ForwardResult& a,
                const ForwardResult& b) {
  EXPECT_TRUE(SameBits(a.mean, b.mean));
  EXPECT_TRUE(SameBits(a.rstd, b.rstd));
  EXPECT_TRUE(SameBits(c.dtype, a.output, b.output));
}

void ExpectSame(const KernelInputs& c, const BackwardResult& a,
                const BackwardResult& b) {
  EXPECT_TRUE(SameBits(c.dtype, a.grad_input, b.grad_input));
  EXPECT_TRUE(SameBits(a.grad_weight, b.grad_weight));
  EXPECT_TRUE(SameBits(a.grad_bias, b.grad_bias));
}

bool SameBits(DataType dtype, const Bytes& a, const Bytes& b) {
  return SameBits(FromElements(dtype, a), FromElements(dtype, b));
}

bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::bit_cast<std::uint64_t>(a[i]) !=
        std::bit_cast<std::uint64_t>(b[i])) {
      return false;
    }
  }
  return true;
}

}  // namespace groupnorm
