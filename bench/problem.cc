#include "bench/problem.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <new>
#include <random>
#include <span>
#include <utility>

#include "kernels/group_norm.h"
#include "tensor/element.h"

namespace groupnorm::bench {

namespace {

constexpr std::size_t kHugePage = std::size_t{2} << 20;

std::size_t RoundUp(std::size_t value, std::size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

std::vector<double> NormalValues(std::size_t count, double mean) {
  std::mt19937_64 generator(1);
  std::normal_distribution<double> distribution(mean, 1.0);
  std::vector<double> values(count);
  for (double& value : values) value = distribution(generator);
  return values;
}

// A prime number of values, over and over: drawing each anew would take longer
// than all measurements.
void FillWithNormalValues(DataType dtype, const Pages& pages) {
  constexpr std::size_t kValues = 65521;
  static const std::vector<double> kPattern = NormalValues(kValues, 0.5);
  std::vector<std::byte> pattern(kValues * ElementSize(dtype));
  DoublesToElements(dtype, kPattern, pattern.data());
  for (std::size_t at = 0; at < pages.size(); at += pattern.size()) {
    std::memcpy(pages.data() + at, pattern.data(),
                std::min(pattern.size(), pages.size() - at));
  }
}

ForwardProblem ForwardProblemOf(const Row& row) {
  return {.geometry = row.geometry, .dtype = row.dtype};
}

BackwardProblem BackwardProblemOf(const Row& row) {
  return {
      .geometry = row.geometry, .dtype = row.dtype, .statistics_given = true};
}

}  // namespace

Pages::Pages(std::size_t bytes) : size_(RoundUp(bytes, kHugePage)) {
  void* const memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(memory);
  // Advice: where the kernel does not take it, small pages do.
  madvise(data_, size_, MADV_HUGEPAGE);
  std::memset(data_, 0, size_);
}

Pages::Pages(Pages&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Pages& Pages::operator=(Pages&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

Pages::~Pages() {
  if (data_ != nullptr) munmap(data_, size_);
}

void Problem::Prepare(const Row& row) {
  if (row_ && row_->Name() == row.Name()) return;
  row_ = row;
  const bool is_forward = row.direction == Direction::kForward;
  const bool grows = input_.size() < row.tensor_bytes();
  if (grows) {
    for (Pages* const pages : {&input_, &grad_output_, &output_}) {
      *pages = Pages();
      *pages = Pages(row.tensor_bytes());
    }
  }
  if (grows || filled_dtype_ != row.dtype) {
    FillWithNormalValues(row.dtype, input_);
    FillWithNormalValues(row.dtype, grad_output_);
    filled_dtype_ = row.dtype;
  }
  const auto channels = static_cast<std::size_t>(row.geometry.channels);
  const auto groups =
      static_cast<std::size_t>(row.geometry.batch * row.geometry.num_groups);
  weight_ = NormalValues(channels, 1.0);
  bias_ = NormalValues(channels, 0.0);
  mean_.assign(groups, 0.0);
  rstd_.assign(groups, 1.0);
  grad_weight_.assign(channels, 0.0);
  grad_bias_.assign(channels, 0.0);
  const std::size_t scratch_bytes =
      std::max(ForwardScratchBytes(ForwardProblemOf(row)),
               is_forward ? 0 : BackwardScratchBytes(BackwardProblemOf(row)));
  if (scratch_.size() < scratch_bytes) {
    scratch_ = Pages();
    scratch_ = Pages(scratch_bytes);
  }
  if (!is_forward) RunComputation(*MakeForwardKernel());
}

std::unique_ptr<Computation> Problem::MakeForwardKernel() const {
  return MakeForward(ForwardProblemOf(*row_), {.input = input_.data(),
                                               .weight = weight_.data(),
                                               .bias = bias_.data(),
                                               .mean = mean_.data(),
                                               .rstd = rstd_.data(),
                                               .output = output_.data(),
                                               .scratch = scratch_.data()});
}

std::unique_ptr<Computation> Problem::MakeKernel() const {
  if (row_->direction == Direction::kForward) return MakeForwardKernel();
  return MakeBackward(BackwardProblemOf(*row_),
                      {.input = input_.data(),
                       .grad_output = grad_output_.data(),
                       .weight = weight_.data(),
                       .mean = mean_.data(),
                       .rstd = rstd_.data(),
                       .grad_input = output_.data(),
                       .grad_weight = grad_weight_.data(),
                       .grad_bias = grad_bias_.data(),
                       .scratch = scratch_.data()});
}

Limit Problem::MakeLimit(Stores stores) const {
  const bool is_forward = row_->direction == Direction::kForward;
  return Limit(stores, row_->tensor_bytes(), input_.data(),
               is_forward ? nullptr : grad_output_.data(), output_.data());
}

}  // namespace groupnorm::bench
