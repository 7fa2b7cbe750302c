#ifndef GROUPNORM_KERNELS_LANE_SUMS_H_
#define GROUPNORM_KERNELS_LANE_SUMS_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

/// Sums in float64 whose order of additions is fixed by the number of values
/// alone, wide enough to be vectorised and accurate enough for a bound that
/// does not grow with that number: docs/math.md, "Sums".
///
/// Everything here adds two quantities at once (x and x^2, dy (x - mean) and
/// dy, ...), since every pass of the kernels needs two.
namespace groupnorm {

/// Lanes of a sum over consecutive values: value i belongs to lane i % kLanes.
inline constexpr int kLanes = 32;

/// Values that a lane adds plainly before its partial sum is moved, with its
/// rounding error kept, to the lane's total.
inline constexpr int kLaneSteps = 16;

/// Lanes of a sum down the rows of a matrix: row i belongs to lane
/// i % kRowLanes, for each column by itself.
inline constexpr int kRowLanes = 4;

/// Columns that one call of SumRows can take.
inline constexpr int kMaxColumns = 16;

struct SumPair {
  double first = 0;
  double second = 0;
};

/// A sum that keeps the rounding errors of its additions (Neumaier's variant of
/// Kahan's summation, by Knuth's TwoSum).
class CompensatedSum {
 public:
  void Add(double value) {
    const double sum = sum_ + value;
    const double part = sum - sum_;
    error_ += (sum_ - (sum - part)) + (value - part);
    sum_ = sum;
  }

  /// An infinite or NaN sum is what plain addition gives: its error is NaN.
  double value() const { return std::isfinite(sum_) ? sum_ + error_ : sum_; }

 private:
  double sum_ = 0;
  double error_ = 0;
};

/// Partial sums and compensated totals of up to `kCapacity` lanes.
template <int kCapacity>
class LaneSums {
 public:
  /// Lanes that get no value need not take part: they would add +0.
  explicit LaneSums(int num_lanes) : num_lanes_(num_lanes) {
    for (int lane = 0; lane < num_lanes; ++lane) {
      first_[lane] = second_[lane] = 0;
      first_total_[lane] = second_total_[lane] = {};
    }
  }

  int num_lanes() const { return num_lanes_; }

  /// The partial sums, to add to.
  double* first() { return first_; }
  double* second() { return second_; }

  /// Moves the partial sums to the totals.
  void Flush() {
    for (int lane = 0; lane < num_lanes_; ++lane) {
      first_total_[lane].Add(first_[lane]);
      second_total_[lane].Add(second_[lane]);
      first_[lane] = second_[lane] = 0;
    }
  }

  /// Adds the upper half of the lanes to the lower half until `remaining` are
  /// left, whose sums are then first() and second(). The number of lanes must
  /// be a power of two times `remaining`. Ends the summation.
  void Reduce(int remaining) {
    for (int lane = 0; lane < num_lanes_; ++lane) {
      first_[lane] = first_total_[lane].value();
      second_[lane] = second_total_[lane].value();
    }
    for (int half = num_lanes_ / 2; half >= remaining; half /= 2) {
      for (int lane = 0; lane < half; ++lane) {
        first_[lane] += first_[lane + half];
        second_[lane] += second_[lane + half];
      }
    }
  }

 private:
  int num_lanes_;
  double first_[kCapacity];
  double second_[kCapacity];
  CompensatedSum first_total_[kCapacity];
  CompensatedSum second_total_[kCapacity];
};

/// The number of lanes out of `lanes` that `count` values reach, rounded up to
/// a power of two.
inline int LanesReached(std::int64_t count, int lanes) {
  return static_cast<int>(std::bit_ceil(
      static_cast<std::uint64_t>(std::clamp<std::int64_t>(count, 1, lanes))));
}

/// Sums `count` consecutive values: `term(i, first, second)` adds what value i
/// contributes to the two doubles.
template <typename Term>
SumPair SumRun(std::int64_t count, Term term) {
  LaneSums<kLanes> sums(LanesReached(count, kLanes));
  std::int64_t i = 0;
  while (i < count) {
    const std::int64_t end =
        std::min(count, i + static_cast<std::int64_t>(kLanes) * kLaneSteps);
    for (; i + kLanes <= end; i += kLanes) {
      for (int lane = 0; lane < kLanes; ++lane) {
        term(i + lane, sums.first()[lane], sums.second()[lane]);
      }
    }
    for (int lane = 0; i < end; ++i, ++lane) {
      term(i, sums.first()[lane], sums.second()[lane]);
    }
    sums.Flush();
  }
  sums.Reduce(1);
  return {sums.first()[0], sums.second()[0]};
}

/// Sums each of 1 to kMaxColumns columns down the rows of a matrix: `term(row,
/// column, first, second)` adds an element. Writes one pair a column.
template <typename Term>
void SumRows(std::int64_t rows, int columns, Term term, SumPair* column_sums) {
  LaneSums<kRowLanes * kMaxColumns> sums(LanesReached(rows, kRowLanes) *
                                         columns);
  std::int64_t row = 0;
  while (row < rows) {
    const std::int64_t end =
        std::min(rows, row + static_cast<std::int64_t>(kRowLanes) * kLaneSteps);
    for (; row < end; ++row) {
      const int lane = static_cast<int>(row % kRowLanes) * columns;
      for (int column = 0; column < columns; ++column) {
        term(row, column, sums.first()[lane + column],
             sums.second()[lane + column]);
      }
    }
    sums.Flush();
  }
  sums.Reduce(columns);
  for (int column = 0; column < columns; ++column) {
    column_sums[column] = {sums.first()[column], sums.second()[column]};
  }
}

/// SumRun for values that come one by one.
class RunSum {
 public:
  /// Of `count` values in all.
  explicit RunSum(std::int64_t count) : sums_(LanesReached(count, kLanes)) {}

  /// `term(first, second)` adds the next value.
  template <typename Term>
  void Add(Term term) {
    term(sums_.first()[lane_], sums_.second()[lane_]);
    if (++lane_ < kLanes) return;
    lane_ = 0;
    if (++step_ < kLaneSteps) return;
    step_ = 0;
    sums_.Flush();
  }

  /// Ends the summation.
  SumPair Total() {
    sums_.Flush();
    sums_.Reduce(1);
    return {sums_.first()[0], sums_.second()[0]};
  }

 private:
  LaneSums<kLanes> sums_;
  int lane_ = 0;
  int step_ = 0;
};

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_LANE_SUMS_H_
