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

#include "kernels/normalize-inl.h"
#include "kernels/run_moments-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// The loop needs the registers of AVX-512.
inline constexpr bool kCanOverlap = kDoubles * 4 == kLanes;

/// Channels that are long enough for it: at most two meet in a row of kLanes
/// elements.
inline constexpr std::int64_t kMinOverlapped = kLanes;

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

/// The channels that a run of elements of one group passes through, and their
/// coefficients.
class ChannelsOfRun {
 public:
  using Map = SingleAffine::ColumnMap;

  /// The run begins at `position` within the first channel of `parameters`, and
  /// has at most `count` elements.
  ChannelsOfRun(std::int64_t spatial, std::int64_t position, std::int64_t count,
                const Statistics& statistics, const Parameters& parameters)
      : spatial_(spatial),
        left_(spatial - position),
        channels_left_((position + count - 1) / spatial + 1),
        statistics_(statistics),
        parameters_(parameters) {
    SetAffine();
  }

  /// Elements of the present channel that are left; the caller counts them.
  std::int64_t elements_left() const { return left_; }
  void set_elements_left(std::int64_t count) { left_ = count; }

  std::int64_t spatial() const { return spatial_; }
  Map map() const { return affine_.OfColumn(channel_); }

  /// Begins the next channel, which the run must have.
  HWY_INLINE Map NextMap() {
    if (++channel_ == kMaxColumns) SetAffine();
    return map();
  }

 private:
  // Of the next channels.
  HWY_NOINLINE void SetAffine() {
    const std::int64_t channels = std::min(kMaxColumns, channels_left_);
    affine_.Set(0, channels, statistics_, parameters_);
    channels_left_ -= channels;
    parameters_.weight += channels;
    parameters_.bias += channels;
    channel_ = 0;
  }

  std::int64_t spatial_;
  std::int64_t left_;
  std::int64_t channel_ = 0;  // Of affine_.
  std::int64_t channels_left_;
  const Statistics& statistics_;
  Parameters parameters_;
  SingleAffine affine_;
};

/// `first` where a lane is one of the first `count`, at most all, else `rest`.
HWY_INLINE SingleAffine::ColumnMap Blend(const SingleAffine::ColumnMap& first,
                                         std::int64_t count,
                                         const SingleAffine::ColumnMap& rest) {
  const auto is_first = hn::FirstN(Singles(), static_cast<std::size_t>(count));
  return {hn::IfThenElse(is_first, first.scale, rest.scale),
          hn::IfThenElse(is_first, first.scale_rest, rest.scale_rest),
          hn::IfThenElse(is_first, first.shift, rest.shift),
          hn::IfThenElse(is_first, first.shift_rest, rest.shift_rest)};
}

/// Computes a row of kLanes elements of `y` from those of `x`: its two vectors
/// by a map each.
template <bool kStream, typename T>
HWY_INLINE void MapRow(const T* HWY_RESTRICT x, T* HWY_RESTRICT y,
                       const SingleAffine::ColumnMap& map0,
                       const SingleAffine::ColumnMap& map1) {
  const Singles s;
  if constexpr (std::is_same_v<T, Bfloat16>) {
    const hn::RebindToUnsigned<Singles> u;
    SingleVector even, odd;
    LoadPairs(x, even, odd);
    const auto rounded = RoundPairs(map0(even, 0), map1(odd, 0));
    auto* out = reinterpret_cast<std::uint32_t*>(y);
    if constexpr (kStream) {
      hn::Stream(rounded, u, out);
    } else {
      hn::StoreU(rounded, u, out);
    }
  } else {
    const auto y0 = map0(LoadAs(s, x), 0);
    const auto y1 = map1(LoadAs(s, x + kSingles), 0);
    if constexpr (kStream) {
      StreamAs(s, y0, y);
      StreamAs(s, y1, y + kSingles);
    } else {
      StoreAs(s, y0, y);
      StoreAs(s, y1, y + kSingles);
    }
  }
}

/// Computes `rows` rows of kLanes elements of `y` from `x`, and adds as many of
/// `next` to the lanes `first` and `second` (which begin as zeros if `fresh`).
template <bool kStream, typename T>
HWY_NOINLINE void NormalizeAndSum(const T* HWY_RESTRICT x, T* HWY_RESTRICT y,
                                  std::int64_t rows, ChannelsOfRun& channels,
                                  const T* HWY_RESTRICT next, bool fresh,
                                  double* HWY_RESTRICT first,
                                  double* HWY_RESTRICT second) {
  const Doubles d;
  auto map = channels.map();
  std::int64_t left = channels.elements_left();
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
    auto map0 = map;
    auto map1 = map;
    if (HWY_UNLIKELY(left < kLanes)) {
      map = channels.NextMap();
      // Fewer than kLanes elements of the row belong to the old channel.
      constexpr bool kPaired = std::is_same_v<T, Bfloat16>;
      const std::int64_t in0 =
          kPaired ? (left + 1) / 2 : std::min(left, kSingles);
      map0 = Blend(map0, in0, map);
      map1 = Blend(map1, left - in0, map);
      left += channels.spatial();
    }
    left -= kLanes;
    MapRow<kStream>(x + i, y + i, map0, map1);
    const auto v2 = LoadAs(d, next + i + 16);
    first2 = hn::Add(first2, v2);
    second2 = MulAdd(d, v2, v2, second2);
    const auto v3 = LoadAs(d, next + i + 24);
    first3 = hn::Add(first3, v3);
    second3 = MulAdd(d, v3, v3, second3);
  }
  channels.set_elements_left(left);
  hn::Store(first0, d, first);
  hn::Store(first1, d, first + 8);
  hn::Store(first2, d, first + 16);
  hn::Store(first3, d, first + 24);
  hn::Store(second0, d, second);
  hn::Store(second1, d, second + 8);
  hn::Store(second2, d, second + 16);
  hn::Store(second3, d, second + 24);
}

/// Computes `count` elements, channel by channel.
template <typename T>
HWY_NOINLINE void NormalizePart(const T* x, T* y, std::int64_t count,
                                ChannelsOfRun& channels) {
  std::int64_t left = channels.elements_left();
  auto map = channels.map();
  for (std::int64_t i = 0; i < count;) {
    if (left == 0) {
      map = channels.NextMap();
      left = channels.spatial();
    }
    const std::int64_t n = std::min(count - i, left);
    MapRun<Singles>(x + i, y + i, n, {}, map);
    left -= n;
    i += n;
  }
  channels.set_elements_left(left);
}

/// NormalizeRun of a block in float32 arithmetic, and meanwhile what it can of
/// `next`.
template <typename T>
HWY_NOINLINE void NormalizeRunAndSum(const T* x, T* y, std::int64_t count,
                                     std::int64_t spatial,
                                     std::int64_t position,
                                     const Statistics& statistics,
                                     const Parameters& parameters,
                                     const Traffic& traffic,
                                     RowwiseSums<T>& next) {
  ChannelsOfRun channels(spatial, position, count, statistics, parameters);
  std::int64_t done = std::min(ElementsToLine(y), count);
  NormalizePart(x, y, done, channels);
  const auto run =
      traffic.stream ? NormalizeAndSum<true, T> : NormalizeAndSum<false, T>;
  while (count - done >= kLanes && next.rows_left() > 0) {
    const std::int64_t rows =
        std::min((count - done) / kLanes, next.rows_left());
    run(x + done, y + done, rows, channels, next.next(), next.begins_segment(),
        next.first(), next.second());
    next.Advance(rows);
    done += rows * kLanes;
  }
  NormalizePart(x + done, y + done, count - done, channels);
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_NORMALIZE_OVERLAPPED_INL_H_
