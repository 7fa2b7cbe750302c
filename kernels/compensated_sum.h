#ifndef GROUPNORM_KERNELS_COMPENSATED_SUM_H_
#define GROUPNORM_KERNELS_COMPENSATED_SUM_H_

#include <cmath>

namespace groupnorm {

/// A sum that keeps the rounding errors of its additions (Neumaier's variant of
/// Kahan's summation, by Knuth's TwoSum).
class CompensatedSum {
 public:
  CompensatedSum() = default;
  explicit CompensatedSum(double sum, double error = 0)
      : sum_(sum), error_(error) {}

  void Add(double value) {
    const double sum = sum_ + value;
    const double part = sum - sum_;
    error_ += (sum_ - (sum - part)) + (value - part);
    sum_ = sum;
  }

  void Add(const CompensatedSum& other) {
    Add(other.sum_);
    error_ += other.error_;
  }

  /// The sum as two doubles. Where it is infinite or NaN, error() is 0.
  double sum() const { return sum_; }
  double error() const { return std::isfinite(sum_) ? error_ : 0; }

  double value() const { return sum() + error(); }

 private:
  double sum_ = 0;
  double error_ = 0;
};

/// Every pass of the kernels adds two quantities at once.
struct CompensatedPair {
  CompensatedSum first;
  CompensatedSum second;

  void Add(const CompensatedPair& other) {
    first.Add(other.first);
    second.Add(other.second);
  }
};

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_COMPENSATED_SUM_H_
