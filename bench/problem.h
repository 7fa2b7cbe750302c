#ifndef GROUPNORM_BENCH_PROBLEM_H_
#define GROUPNORM_BENCH_PROBLEM_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "bench/limits.h"
#include "bench/row.h"
#include "groupnorm/dtype.h"
#include "kernels/computation.h"

namespace groupnorm::bench {

/// Memory that starts on a 4 KiB page, for which huge pages are advised. The
/// pages are those of the first use. Move-only.
class Pages {
 public:
  Pages() = default;
  /// Throws std::bad_alloc where the machine has no more.
  explicit Pages(std::size_t bytes);
  Pages(Pages&& other) noexcept;
  Pages& operator=(Pages&& other) noexcept;
  ~Pages();

  std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The memory that the rows work on: one set for all, as large as the largest
/// of them so far, so that going from one row to another and back costs little.
class Problem {
 public:
  /// Makes everything ready for a row: operands of normally distributed values,
  /// faulted in; for Backward the statistics that Forward gives. Does nothing
  /// where the row is that of the call before, so that a measurement meets the
  /// caches as the one before left them.
  void Prepare(const Row& row);

  /// The computation of the prepared row: weight and bias are there; Forward
  /// computes its statistics, Backward is given them and computes all three
  /// gradients. This is what training does.
  std::unique_ptr<Computation> MakeKernel() const;

  /// A copy (Backward: a triad) between the tensors of the prepared row.
  Limit MakeLimit(Stores stores) const;

 private:
  std::unique_ptr<Computation> MakeForwardKernel() const;

  std::optional<Row> row_;
  DataType filled_dtype_ = DataType::kFloat32;
  Pages input_;
  Pages grad_output_;
  Pages output_;  // Backward's grad_input.
  Pages scratch_;
  std::vector<double> weight_;
  std::vector<double> bias_;
  // Written by the computations, which the row's owner must be able to make
  // while the row stays as it is.
  mutable std::vector<double> mean_;
  mutable std::vector<double> rstd_;
  mutable std::vector<double> grad_weight_;
  mutable std::vector<double> grad_bias_;
};

}  // namespace groupnorm::bench

#endif  // GROUPNORM_BENCH_PROBLEM_H_
