#ifndef GROUPNORM_KERNELS_LANE_SUMS_H_
#define GROUPNORM_KERNELS_LANE_SUMS_H_

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

/// Sums in float64 whose order of additions is fixed by the number of values
/// alone, wide enough to be vectorised and accurate enough for a bound that
/// does not grow with that number: docs/math.md, "Sums".
///
/// Everything here adds two quantities at once (x and x^2, dy (x - mean) and
/// dy), since every pass of the kernels needs two.
namespace groupnorm {

/// Lanes of a sum over consecutive values: value i belongs to lane i % kLanes.
inline constexpr int kLanes = 32;

/// Values of element type T that a lane adds plainly before its partial sum is
/// moved, with the rounding error kept, to the lane's total. Sums of 16 narrow
/// values are exact in float64 unless their exponents lie far apart; float64
/// values are all added with their rounding errors kept.
template <typename T>
inline constexpr int kLaneSteps = std::is_same_v<T, double> ? 1 : 16;

/// Lanes of a sum down the rows of a matrix: row i belongs to lane
/// i % kRowLanes, for each column by itself.
inline constexpr int kRowLanes = 4;

/// Columns that one call of SumRows can take.
inline constexpr int kMaxColumns = 16;

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

struct CompensatedPair {
  CompensatedSum first;
  CompensatedSum second;
};

/// Adds the upper half of the lanes to the lower half until `remaining` are
/// left. The number of lanes must be a power of two times `remaining`.
inline void ReduceLanes(CompensatedPair* lanes, int num_lanes, int remaining) {
  for (int half = num_lanes / 2; half >= remaining; half /= 2) {
    for (int lane = 0; lane < half; ++lane) {
      lanes[lane].first.Add(lanes[lane + half].first);
      lanes[lane].second.Add(lanes[lane + half].second);
    }
  }
}

/// Partial sums and compensated totals of up to `kCapacity` lanes.
template <int kCapacity>
class LaneSums {
 public:
  /// Lanes that get no value need not take part: they would add +0.
  explicit LaneSums(int num_lanes) : num_lanes_(num_lanes) {
    std::fill_n(first_, num_lanes, 0.0);
    std::fill_n(second_, num_lanes, 0.0);
    std::fill_n(totals_, num_lanes, CompensatedPair());
  }

  /// The partial sums, to add to.
  double* first() { return first_; }
  double* second() { return second_; }

  /// Moves the partial sums to the totals.
  void Flush() {
    for (int lane = 0; lane < num_lanes_; ++lane) {
      totals_[lane].first.Add(first_[lane]);
      totals_[lane].second.Add(second_[lane]);
      first_[lane] = second_[lane] = 0;
    }
  }

  /// Reduces the totals by ReduceLanes and returns what remains.
  const CompensatedPair* Reduce(int remaining) {
    ReduceLanes(totals_, num_lanes_, remaining);
    return totals_;
  }

 private:
  int num_lanes_;
  double first_[kCapacity];
  double second_[kCapacity];
  CompensatedPair totals_[kCapacity];
};

/// The number of lanes out of `lanes` that `count` values reach, rounded up to
/// a power of two.
inline int LanesReached(std::int64_t count, int lanes) {
  return static_cast<int>(std::bit_ceil(
      static_cast<std::uint64_t>(std::clamp<std::int64_t>(count, 1, lanes))));
}

/// Sums `count` consecutive values of element type T: `term(i, first, second)`
/// adds what value i contributes to the two doubles.
template <typename T, typename Term>
CompensatedPair SumRun(std::int64_t count, Term term) {
  constexpr std::int64_t kValuesPerFlush = kLanes * kLaneSteps<T>;
  LaneSums<kLanes> sums(LanesReached(count, kLanes));
  std::int64_t i = 0;
  while (i < count) {
    const std::int64_t end = std::min(count, i + kValuesPerFlush);
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
  return *sums.Reduce(1);
}

/// Sums each of 1 to kMaxColumns columns down the rows of a matrix of element
/// type T: `term(row, column, first, second)` adds an element. Writes one pair
/// a column.
template <typename T, typename Term>
void SumRows(std::int64_t rows, int columns, Term term,
             CompensatedPair* column_sums) {
  constexpr std::int64_t kRowsPerFlush = kRowLanes * kLaneSteps<T>;
  LaneSums<kRowLanes * kMaxColumns> sums(LanesReached(rows, kRowLanes) *
                                         columns);
  std::int64_t row = 0;
  while (row < rows) {
    const std::int64_t end = std::min(rows, row + kRowsPerFlush);
    for (; row < end; ++row) {
      const int lane = static_cast<int>(row % kRowLanes) * columns;
      for (int column = 0; column < columns; ++column) {
        term(row, column, sums.first()[lane + column],
             sums.second()[lane + column]);
      }
    }
    sums.Flush();
  }
  std::copy_n(sums.Reduce(columns), columns, column_sums);
}

/// SumRun for sums that come one by one and are added with all their errors
/// kept.
class RunSum {
 public:
  /// Of `count` sums in all.
  explicit RunSum(std::int64_t count)
      : num_lanes_(LanesReached(count, kLanes)) {}

  /// Adds the next: a pair of doubles or of CompensatedSums.
  template <typename Sum>
  void Add(const Sum& first, const Sum& second) {
    lanes_[next_].first.Add(first);
    lanes_[next_].second.Add(second);
    next_ = (next_ + 1) % kLanes;
  }

  /// Ends the summation.
  CompensatedPair Total() {
    ReduceLanes(lanes_, num_lanes_, 1);
    return lanes_[0];
  }

 private:
  int num_lanes_;
  int next_ = 0;
  CompensatedPair lanes_[kLanes];
};

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_LANE_SUMS_H_
