// grad_input of consecutive elements: channels first, and what channels last
// shares with it.

#if defined(GROUPNORM_KERNELS_GRAD_INPUT_RUNS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_GRAD_INPUT_RUNS_INL_H_
#undef GROUPNORM_KERNELS_GRAD_INPUT_RUNS_INL_H_
#else
#define GROUPNORM_KERNELS_GRAD_INPUT_RUNS_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/backward_plan.h"
#include "kernels/blocks.h"
#include "kernels/column_sums-inl.h"
#include "kernels/element_loops-inl.h"
#include "kernels/grad_input_channels-inl.h"
#include "kernels/grad_input_formulas-inl.h"
#include "kernels/multiply_add.h"
#include "kernels/vectors-inl.h"
#include "tensor/element.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// Elements that are computed before they go past the caches, and after which a
/// result that is not finite is looked for.
inline constexpr std::int64_t kPieceElements = 2048;

/// What grad_input is computed from.
template <typename T>
struct GradInputTensors {
  const T* x;
  const T* dy;
  T* dx;
  const double* weight;
  bool frozen;
  bool stream;  ///< Past the caches.
};

/// Computes `count` consecutive elements; some twice. Returns whether all are
/// finite.
template <class Formula, class Coefficients, typename T>
HWY_INLINE bool MapElements(const Coefficients& coefficients, const T* x,
                            const T* dy, T* out, std::int64_t count) {
  const typename Coefficients::Lanes d;
  constexpr auto kVector =
      static_cast<std::int64_t>(hn::MaxLanes(typename Coefficients::Lanes()));
  const auto zero = hn::Zero(d);
  if (count < kVector) {
    const auto v = Formula::Of(d, coefficients, 0, x, dy, LoadFirst{count});
    StoreFirstAs(d, v, out, count);
    const auto in_run = hn::FirstN(d, static_cast<std::size_t>(count));
    const auto is_finite = hn::Eq(hn::Sub(v, v), zero);
    return hn::AllTrue(d, hn::Or(is_finite, hn::Not(in_run)));
  }
  const auto map = [&](std::int64_t i) HWY_ATTR {
    const auto v = Formula::Of(d, coefficients, i, x, dy, LoadWhole());
    StoreAs(d, v, out + i);
    return v;
  };
  // The sums of some results are NaN or infinite where one of them is; 0 times
  // that is NaN.
  auto product = zero;
  std::int64_t i = 0;
  for (; i + 4 * kVector <= count; i += 4 * kVector) {
    const auto v0 = map(i);
    const auto v1 = map(i + kVector);
    const auto v2 = map(i + 2 * kVector);
    const auto v3 = map(i + 3 * kVector);
    if constexpr (Formula::kMayOverflow) {
      const auto sum = hn::Add(hn::Add(v0, v1), hn::Add(v2, v3));
      product = MulAdd(d, sum, zero, product);
    }
  }
  for (; i + kVector <= count; i += kVector) {
    product = MulAdd(d, map(i), zero, product);
  }
  if (i < count) product = MulAdd(d, map(count - kVector), zero, product);
  return hn::AllTrue(d, hn::Eq(product, zero));
}

/// Multiplies by rstd last: its cube, and the products of large values, leave
/// the range of float64.
template <typename T>
T ElementInDouble(const GroupGradient& group, double weight, T x, T dy) {
  const DoubleConstants constants(group);
  const double xhat = (ToDouble(x) - constants.mean) * constants.rstd;
  const double wdy =
      groupnorm::MulAdd(weight, ToDouble(dy), constants.constant);
  return FromDouble<T>(constants.rstd *
                       groupnorm::MulAdd(xhat, constants.deviation, wdy));
}

/// Computes `count` elements in float32 arithmetic. Where the result of one is
/// not finite, what overflows on the way may be finite in the end:
/// `in_double(i)` computes it.
template <class Coefficients, typename T, class InDouble>
HWY_INLINE void MapInSingle(const Coefficients& coefficients, const T* x,
                            const T* dy, T* out, std::int64_t count,
                            const InDouble& in_double) {
  if (MapElements<FullFormula>(coefficients, x, dy, out, count)) return;
  const hn::CappedTag<float, 1> one;
  for (std::int64_t i = 0; i < count; ++i) {
    const float dx =
        hn::GetLane(FullFormula::Of(one, coefficients, i, x, dy, LoadFirst{1}));
    if (!std::isfinite(dx)) out[i] = in_double(i);
  }
}

/// Copies past the caches. Where `ahead` is not 0, it fetches meanwhile what
/// lies so many bytes behind the same place of `x` and `dy`.
inline void StreamBytes(const void* from, void* to, std::int64_t size_bytes,
                        const void* fetched) {
#if HWY_TARGET == HWY_SCALAR
  static_cast<void>(fetched);
  std::memcpy(to, from, static_cast<std::size_t>(size_bytes));
#else
  const hn::ScalableTag<std::uint8_t> d;
  constexpr auto kVector =
      static_cast<std::int64_t>(hn::MaxLanes(hn::ScalableTag<std::uint8_t>()));
  const auto* source = static_cast<const std::uint8_t*>(from);
  auto* target = static_cast<std::uint8_t*>(to);
  const std::int64_t head = std::min(size_bytes, ElementsToLine(target));
  std::memcpy(target, source, static_cast<std::size_t>(head));
  std::int64_t i = head;
  for (; i + kCacheLine <= size_bytes; i += kCacheLine) {
    if (fetched != nullptr) {
      FetchLines(static_cast<const std::uint8_t*>(fetched) + i, 1);
    }
    for (std::int64_t j = i; j < i + kCacheLine; j += kVector) {
      hn::Stream(hn::LoadU(d, source + j), d, target + j);
    }
  }
  std::memcpy(target + i, source + i, static_cast<std::size_t>(size_bytes - i));
#endif
}

/// Calls `compute(out)` for a piece of at most kPieceElements elements, from
/// the i-th on. `fetch_ahead`: elements from the one that is being written to
/// one of dy that will soon be read, or 0.
template <typename T, class Compute>
HWY_INLINE void WritePiece(const GradInputTensors<T>& tensors, std::int64_t i,
                           std::int64_t count, std::int64_t fetch_ahead,
                           const Compute& compute) {
  if (!tensors.stream) {
    compute(tensors.dx + i);
    return;
  }
  HWY_ALIGN T piece[kPieceElements];
  compute(piece);
  constexpr auto kSize = static_cast<std::int64_t>(sizeof(T));
  StreamBytes(piece, tensors.dx + i, count * kSize,
              fetch_ahead == 0 ? nullptr : tensors.dy + i + fetch_ahead);
}

/// grad_input of blocks of one group, channels first.
template <typename T>
class GradInputOfRun {
 public:
  GradInputOfRun(const GradInputTensors<T>& tensors, const Blocks& blocks,
                 const GroupGradient& group)
      : tensors_(tensors),
        spatial_(blocks.geometry().spatial),
        group_(group),
        single_(group),
        double_(group) {}

  /// `fetch_ahead`: as in WritePiece.
  HWY_NOINLINE void Compute(const Block& block,
                            std::int64_t fetch_ahead) const {
    if constexpr (std::is_same_v<T, double>) {
      ShortOrLongChannels<double>(block, fetch_ahead);
    } else if (group_.in_single) {
      ShortOrLongChannels<float>(block, fetch_ahead);
    } else {
      Position at = {block.channel, block.position};
      ElementByElement(tensors_.x + block.offset, tensors_.dy + block.offset,
                       tensors_.dx + block.offset, block.width, at);
    }
  }

 private:
  template <typename Float>
  static constexpr auto kCount =
      static_cast<std::int64_t>(hn::MaxLanes(hn::ScalableTag<Float>()));

  struct Position {
    std::int64_t channel;
    std::int64_t within;
  };

  template <typename Float>
  void ShortOrLongChannels(const Block& block, std::int64_t fetch_ahead) const {
    const T* x = tensors_.x + block.offset;
    const T* dy = tensors_.dy + block.offset;
    Position at = {block.channel, block.position};
    if (spatial_ == 1) {
      if (tensors_.frozen) {
        MapSingleValues<FrozenFormula, Float>(block);
      } else {
        MapSingleValues<FullFormula, Float>(block);
      }
    } else if (spatial_ < kShortestChannel<Float, T>) {
      ForEachPiece(block, fetch_ahead,
                   [&](std::int64_t i, std::int64_t count, T* out) HWY_ATTR {
                     ShortChannels<Float>(x + i, dy + i, out, count, at);
                   });
    } else if (tensors_.frozen) {
      LongChannels<FrozenFormula, Float>(block, fetch_ahead);
    } else {
      LongChannels<FullFormula, Float>(block, fetch_ahead);
    }
  }

  // Calls `compute(i, count, out)` for pieces of at most kPieceElements.
  template <class Compute>
  HWY_INLINE void ForEachPiece(const Block& block, std::int64_t fetch_ahead,
                               const Compute& compute) const {
    std::int64_t count = kPieceElements - kCacheLine +
                         ElementsToLine(tensors_.dx + block.offset);
    for (std::int64_t i = 0; i < block.width;) {
      count = std::min(count, block.width - i);
      WritePiece(tensors_, block.offset + i, count, fetch_ahead,
                 [&](T* out) HWY_ATTR { compute(i, count, out); });
      i += count;
      count = kPieceElements;
    }
  }

  // As a row of single elements.
  template <typename Float>
  HWY_INLINE void ShortChannels(const T* x, const T* dy, T* out,
                                std::int64_t count, Position& at) const {
    HWY_ALIGN Float scales[kPieceElements + hn::MaxLanes(Singles())];
    const Position first = at;
    FillScales(count, at, scales);
    const RowOfGroup<Float> coefficients(scales, Constants<Float>());
    Map(coefficients, x, dy, out, count, [&](std::int64_t i) HWY_ATTR {
      return ElementInDouble(
          group_,
          tensors_.weight[first.channel + (first.within + i) / spatial_], x[i],
          dy[i]);
    });
  }

  template <typename Float>
  HWY_NOINLINE void FillScales(std::int64_t count, Position& at,
                               Float* scales) const {
    ForEachRun(
        count, at,
        [&](std::int64_t channel, std::int64_t i, std::int64_t n)
            HWY_ATTR { std::fill_n(scales + i, n, Scale<Float>(channel)); });
  }

  template <class Formula, typename Float>
  void LongChannels(const Block& block, std::int64_t fetch_ahead) const {
    const T* x = tensors_.x + block.offset;
    const T* dy = tensors_.dy + block.offset;
    T* dx = tensors_.dx + block.offset;
    const double factor = std::is_same_v<Float, double> && !tensors_.frozen
                              ? 1.0
                              : group_.statistics.rstd;
    const ChannelRun<Float> run = {.weight = tensors_.weight + block.channel,
                                   .factor = factor,
                                   .constants = Constants<Float>(),
                                   .spatial = spatial_,
                                   .position = block.position,
                                   .count = block.width};
    const bool all_finite =
        tensors_.stream
            ? MapChannels<Formula, true>(run, x, dy, dx, fetch_ahead)
            : MapChannels<Formula, false>(run, x, dy, dx, 0);
    if constexpr (Formula::kMayOverflow && !std::is_same_v<T, double>) {
      if (!all_finite) {
        RepairChannels(x, dy, dx, block.width, {block.channel, block.position});
      }
    }
  }

  // Of channels that have one value each.
  template <class Formula, typename Float>
  HWY_NOINLINE void MapSingleValues(const Block& block) const {
    const hn::ScalableTag<Float> d;
    const double factor = std::is_same_v<Float, double> && !tensors_.frozen
                              ? 1.0
                              : group_.statistics.rstd;
    const T* x = tensors_.x + block.offset;
    const T* dy = tensors_.dy + block.offset;
    T* dx = tensors_.dx + block.offset;
    const WeightedChannels<Float> coefficients(tensors_.weight + block.channel,
                                               block.width, factor,
                                               Constants<Float>());
    auto product = hn::Zero(d);
    for (std::int64_t i = 0; i < block.width; i += kCount<Float>) {
      const std::int64_t count = std::min(kCount<Float>, block.width - i);
      const LoadFirst load = {count};
      const auto v = Formula::Of(d, coefficients, i, x, dy, load);
      StoreUpTo(d, v, dx + i, count);
      if constexpr (Formula::kMayOverflow) {
        // Zero beyond the last value, whatever the constants are.
        const auto in_run = hn::FirstN(d, static_cast<std::size_t>(count));
        product =
            MulAdd(d, hn::IfThenElseZero(in_run, v), hn::Zero(d), product);
      }
    }
    if constexpr (Formula::kMayOverflow && !std::is_same_v<T, double>) {
      if (!hn::AllTrue(d, hn::Eq(product, hn::Zero(d)))) {
        RepairChannels(x, dy, dx, block.width, {block.channel, block.position});
      }
    }
  }

  // Where a result in float32 is not finite, what overflows on the way may be
  // finite in the end.
  HWY_NOINLINE void RepairChannels(const T* x, const T* dy, T* out,
                                   std::int64_t count, Position at) const {
    const hn::CappedTag<float, 1> one;
    ForEachRun(
        count, at,
        [&](std::int64_t channel, std::int64_t begin, std::int64_t n) HWY_ATTR {
          const OneChannel<float> coefficients(Scale<float>(channel), single_);
          for (std::int64_t i = begin; i < begin + n; ++i) {
            const float dx = hn::GetLane(
                FullFormula::Of(one, coefficients, i, x, dy, LoadFirst{1}));
            if (std::isfinite(dx)) continue;
            out[i] =
                ElementInDouble(group_, tensors_.weight[channel], x[i], dy[i]);
          }
        });
  }

  template <class Coefficients, class InDouble>
  HWY_INLINE void Map(const Coefficients& coefficients, const T* x, const T* dy,
                      T* out, std::int64_t count,
                      const InDouble& in_double) const {
    if (tensors_.frozen) {
      MapElements<FrozenFormula>(coefficients, x, dy, out, count);
    } else if constexpr (std::is_same_v<T, double>) {
      MapElements<FullFormula>(coefficients, x, dy, out, count);
    } else {
      MapInSingle(coefficients, x, dy, out, count, in_double);
    }
  }

  // Narrow types in float64: rare.
  HWY_NOINLINE void ElementByElement(const T* x, const T* dy, T* out,
                                     std::int64_t count, Position& at) const {
    ForEachRun(
        count, at,
        [&](std::int64_t channel, std::int64_t begin, std::int64_t n) HWY_ATTR {
          const double weight = tensors_.weight[channel];
          for (std::int64_t i = begin; i < begin + n; ++i) {
            out[i] = tensors_.frozen
                         ? FrozenElementInDouble(group_, weight, dy[i])
                         : ElementInDouble(group_, weight, x[i], dy[i]);
          }
        });
  }

  // Calls `run(channel, i, n)` for the parts of a piece that lie in one
  // channel.
  template <class Run>
  HWY_INLINE void ForEachRun(std::int64_t count, Position& at,
                             const Run& run) const {
    for (std::int64_t i = 0; i < count;) {
      const std::int64_t n = std::min(count - i, spatial_ - at.within);
      run(at.channel, i, n);
      i += n;
      at.within += n;
      if (at.within == spatial_) {
        ++at.channel;
        at.within = 0;
      }
    }
  }

  template <typename Float>
  HWY_INLINE Float Scale(std::int64_t channel) const {
    const double weight = tensors_.weight[channel];
    if constexpr (std::is_same_v<Float, double>) {
      if (!tensors_.frozen) return weight;
    }
    return static_cast<Float>(group_.statistics.rstd * weight);
  }

  template <typename Float>
  HWY_INLINE auto Constants() const {
    if constexpr (std::is_same_v<Float, double>) {
      return double_;
    } else {
      return single_;
    }
  }

  const GradInputTensors<T>& tensors_;
  std::int64_t spatial_;
  const GroupGradient& group_;
  SingleConstants single_;
  DoubleConstants double_;
};

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_GRAD_INPUT_RUNS_INL_H_
