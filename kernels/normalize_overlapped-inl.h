// The output of one group while the sums of the next are taken, in one loop:
// the reads of the one overlap the writes of the other, and the arithmetic
// both. The same bits as one after the other.

#if defined(GROUPNORM_KERNELS_NORMALIZE_OVERLAPPED_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_NORMALIZE_OVERLAPPED_INL_H_
#undef GROUPNORM_KERNELS_NORMALIZE_OVERLAPPED_INL_H_
#else
#define GROUPNORM_KERNELS_NORMALIZE_OVERLAPPED_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/block_moments-inl.h"
#include "kernels/normalize-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// The loop needs the registers of AVX-512.
inline constexpr bool kCanOverlap = kDoubles * 4 == kLanes;

/// Channels that are long enough for it.
inline constexpr std::int64_t kMinOverlapped = 128;

/// A first pass over a run of narrow values that is done some rows of kLanes
/// values at a time.
template <typename T>
class RowwiseSums {
 public:
  RowwiseSums(const T* x, std::int64_t count) : x_(x), count_(count) {}

  /// Whole rows until the end of the segment.
  std::int64_t rows_left() const {
    return std::min(count_ - done_, segment_ + kSegment - done_) / kLanes;
  }

  const T* next() const { return x_ + done_; }
  double* first() { return first_; }
  double* second() { return second_; }
  bool begins_segment() const { return done_ == segment_; }

  /// After `rows` rows, at most rows_left(), were added to first() and
  /// second().
  void Advance(std::int64_t rows) {
    done_ += rows * kLanes;
    if (done_ == segment_ + kSegment) EndSegment();
  }

  /// Sums what is left.
  CompensatedPair Finish() {
    const RunValues<T> terms = {x_};
    if (done_ > segment_) {
      FinishSegment(terms);
    }
    while (done_ < count_) {
      const std::int64_t end = std::min(count_, done_ + kSegment);
      sums_.AddSegment(terms, done_, end);
      done_ = end;
    }
    return sums_.Reduce();
  }

 private:
  void EndSegment() {
    sums_.AddLanes(first_, second_);
    segment_ = done_;
  }

  // The rest of a segment that was begun.
  HWY_NOINLINE void FinishSegment(const RunValues<T>& terms) {
    const Doubles d;
    const std::int64_t end = std::min(count_, segment_ + kSegment);
    for (; done_ < end; done_ += kLanes) {
      for (std::int64_t lane = 0; lane < kLanes; lane += kDoubles) {
        const std::int64_t i = done_ + lane;
        if (i >= end) break;
        const auto v = LoadUpTo(d, terms.x + i, std::min(kDoubles, end - i));
        hn::Store(hn::Add(hn::Load(d, first_ + lane), v), d, first_ + lane);
        hn::Store(MulAdd(d, v, v, hn::Load(d, second_ + lane)), d,
                  second_ + lane);
      }
    }
    done_ = end;
    EndSegment();
  }

  const T* x_;
  std::int64_t count_;
  std::int64_t done_ = 0;
  std::int64_t segment_ = 0;  // Where the present one begins.
  PlainSums sums_;
  HWY_ALIGN double first_[kLanes];
  HWY_ALIGN double second_[kLanes];
};

/// Fetches what a row far enough ahead to hide the latency of memory needs.
template <typename T>
HWY_INLINE void FetchAhead(const T* row) {
  constexpr std::int64_t kAheadBytes = 4096;
  const auto* line = reinterpret_cast<const char*>(row) + kAheadBytes;
  __builtin_prefetch(line, 0, 3);
  if constexpr (sizeof(T) * kLanes > kCacheLine) {
    __builtin_prefetch(line + kCacheLine, 0, 3);
  }
}

/// The coefficients of one channel, as SingleAffine has them.
struct SingleCoefficients {
  float scale_hi;
  float scale_lo;
  float shift_hi;
  float shift_lo;
};

/// Computes a row of kLanes elements of `y` from those of `x`.
template <bool kStream, typename T>
HWY_INLINE void MapRow(const T* HWY_RESTRICT x, T* HWY_RESTRICT y,
                       const SingleAffine::ColumnMap& map) {
  const Singles s;
  if constexpr (std::is_same_v<T, Bfloat16>) {
    const hn::RebindToUnsigned<Singles> u;
    SingleVector even, odd;
    LoadPairs(x, even, odd);
    const auto rounded = RoundPairs(map(even, 0), map(odd, 0));
    auto* out = reinterpret_cast<std::uint32_t*>(y);
    if constexpr (kStream) {
      hn::Stream(rounded, u, out);
    } else {
      hn::StoreU(rounded, u, out);
    }
  } else {
    for (std::int64_t i = 0; i < kLanes; i += kSingles) {
      const auto output = map(LoadAs(s, x + i), i);
      if constexpr (kStream) {
        StreamAs(s, output, y + i);
      } else {
        StoreAs(s, output, y + i);
      }
    }
  }
}

/// Computes `rows` rows of kLanes elements of `y` from `x`, and adds as many of
/// `next` to the lanes `first` and `second` (which begin as zeros if `fresh`).
template <bool kStream, typename T>
HWY_NOINLINE void NormalizeAndSum(const T* HWY_RESTRICT x, T* HWY_RESTRICT y,
                                  std::int64_t rows,
                                  SingleCoefficients coefficients,
                                  const T* HWY_RESTRICT next, bool fresh,
                                  double* HWY_RESTRICT first,
                                  double* HWY_RESTRICT second) {
  const Singles s;
  const Doubles d;
  const SingleAffine::ColumnMap map = {
      hn::Set(s, coefficients.scale_hi), hn::Set(s, coefficients.scale_lo),
      hn::Set(s, coefficients.shift_hi), hn::Set(s, coefficients.shift_lo)};
  auto first0 = hn::Zero(d), first1 = first0, first2 = first0, first3 = first0;
  auto second0 = first0, second1 = first0, second2 = first0, second3 = first0;
  if (!fresh) {
    first0 = hn::Load(d, first);
    first1 = hn::Load(d, first + 8);
    first2 = hn::Load(d, first + 16);
    first3 = hn::Load(d, first + 24);
    second0 = hn::Load(d, second);
    second1 = hn::Load(d, second + 8);
    second2 = hn::Load(d, second + 16);
    second3 = hn::Load(d, second + 24);
  }
  for (std::int64_t i = 0; i < rows * kLanes; i += kLanes) {
    if constexpr (kStream) {
      FetchAhead(next + i);
      FetchAhead(x + i);
    }
    const auto v0 = LoadAs(d, next + i);
    first0 = hn::Add(first0, v0);
    second0 = MulAdd(d, v0, v0, second0);
    const auto v1 = LoadAs(d, next + i + 8);
    first1 = hn::Add(first1, v1);
    second1 = MulAdd(d, v1, v1, second1);
    MapRow<kStream>(x + i, y + i, map);
    const auto v2 = LoadAs(d, next + i + 16);
    first2 = hn::Add(first2, v2);
    second2 = MulAdd(d, v2, v2, second2);
    const auto v3 = LoadAs(d, next + i + 24);
    first3 = hn::Add(first3, v3);
    second3 = MulAdd(d, v3, v3, second3);
  }
  hn::Store(first0, d, first);
  hn::Store(first1, d, first + 8);
  hn::Store(first2, d, first + 16);
  hn::Store(first3, d, first + 24);
  hn::Store(second0, d, second);
  hn::Store(second1, d, second + 8);
  hn::Store(second2, d, second + 16);
  hn::Store(second3, d, second + 24);
}

/// NormalizeRun of a block in float32 arithmetic, and meanwhile what it can of
/// `next`.
template <typename T>
HWY_NOINLINE void NormalizeRunAndSum(
    const T* x, T* y, std::int64_t count, std::int64_t spatial,
    std::int64_t position, const Statistics& statistics, Parameters parameters,
    const Traffic& traffic, RowwiseSums<T>& next) {
  SingleAffine affine;
  std::int64_t channel = kMaxColumns;
  while (count > 0) {
    if (channel == kMaxColumns) {
      const std::int64_t channels =
          std::min(kMaxColumns, (position + count - 1) / spatial + 1);
      affine.Set(0, channels, statistics, parameters);
      parameters.weight += channels;
      parameters.bias += channels;
      channel = 0;
    }
    const std::int64_t end = std::min(spatial - position, count);
    std::int64_t done = 0;
    if (traffic.stream && end >= kMinOverlapped) {
      done = ElementsToLine(y);
      if (done > 0) MapRun<Singles>(x, y, done, {}, affine.OfColumn(channel));
    }
    while (end - done >= kLanes && next.rows_left() > 0) {
      const std::int64_t rows =
          std::min((end - done) / kLanes, next.rows_left());
      const SingleCoefficients coefficients = {
          affine.scale_hi[channel], affine.scale_lo[channel],
          affine.shift_hi[channel], affine.shift_lo[channel]};
      const auto run = traffic.stream && end >= kMinOverlapped
                           ? NormalizeAndSum<true, T>
                           : NormalizeAndSum<false, T>;
      run(x + done, y + done, rows, coefficients, next.next(),
          next.begins_segment(), next.first(), next.second());
      next.Advance(rows);
      done += rows * kLanes;
    }
    if (end > done) {
      MapRun<Singles>(x + done, y + done, end - done, traffic,
                      affine.OfColumn(channel));
    }
    x += end;
    y += end;
    count -= end;
    position = 0;
    ++channel;
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_NORMALIZE_OVERLAPPED_INL_H_
