// Vectors of the target that is being compiled, and the few operations on them
// that Highway lacks or rounds otherwise than the kernels promise.

// Highway's guard: the header is read once for every target.
#if defined(GROUPNORM_KERNELS_VECTORS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_VECTORS_INL_H_
#undef GROUPNORM_KERNELS_VECTORS_INL_H_
#else
#define GROUPNORM_KERNELS_VECTORS_INL_H_
#endif

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "hwy/highway.h"
#include "tensor/element.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using Doubles = hn::ScalableTag<double>;
using Singles = hn::ScalableTag<float>;
using DoubleVector = hn::Vec<Doubles>;
using SingleVector = hn::Vec<Singles>;

inline constexpr std::int64_t kDoubles = hn::MaxLanes(Doubles());
inline constexpr std::int64_t kSingles = hn::MaxLanes(Singles());

/// a * b + c, rounded once. Highway's own is not fused in its scalar target.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V MulAdd(D d, V a, V b, V c) {
#if HWY_TARGET == HWY_SCALAR
  return hn::Set(d, std::fma(hn::GetLane(a), hn::GetLane(b), hn::GetLane(c)));
#else
  static_cast<void>(d);
  return hn::MulAdd(a, b, c);
#endif
}

/// Vectors that hold elements of type T as they are in memory.
template <typename T>
struct Storage {
  using Lane = T;
};
template <>
struct Storage<Float16> {
  using Lane = hwy::float16_t;
};
template <>
struct Storage<Bfloat16> {
  using Lane = hwy::bfloat16_t;
};
template <class D, typename T>
using ElementsOf = hn::Rebind<typename Storage<T>::Lane, D>;

/// The elements at `p`, as many as `d` has lanes, made float or double: exact.
template <class D, typename T>
HWY_INLINE hn::Vec<D> LoadAs(D d, const T* p) {
#if HWY_TARGET == HWY_SCALAR
  // Highway's own makes finite numbers of float16's infinities.
  return hn::Set(d, static_cast<hn::TFromD<D>>(ToDouble(*p)));
#else
  if constexpr (std::is_same_v<hn::TFromD<D>, T>) {
    return hn::LoadU(d, p);
  } else if constexpr (std::is_same_v<T, float>) {
    return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, D>(), p));
  } else if constexpr (std::is_same_v<hn::TFromD<D>, double>) {
    return hn::PromoteTo(d, LoadAs(hn::Rebind<float, D>(), p));
  } else {
    const ElementsOf<D, T> elements;
    return hn::PromoteTo(
        d, hn::LoadU(elements,
                     reinterpret_cast<const typename Storage<T>::Lane*>(p)));
  }
#endif
}

/// The first `count` elements at `p`, fewer than `d` has lanes, then zeros.
/// Touches no others.
template <class D, typename T>
HWY_INLINE hn::Vec<D> LoadFirstAs(D d, const T* p, std::int64_t count) {
  const auto n = static_cast<std::size_t>(count);
#if HWY_TARGET <= HWY_AVX3
  constexpr bool kMaskedLoads = true;
#elif HWY_TARGET == HWY_AVX2
  constexpr bool kMaskedLoads = sizeof(T) >= sizeof(float);
#else
  constexpr bool kMaskedLoads = false;
#endif
  if constexpr (hn::MaxLanes(D()) == 1) {
    return hn::Zero(d);
  } else if constexpr (kMaskedLoads && sizeof(T) >= sizeof(float)) {
    const hn::Rebind<T, D> elements;
    const auto v = hn::MaskedLoad(hn::FirstN(elements, n), elements, p);
    if constexpr (std::is_same_v<hn::TFromD<D>, T>) {
      return v;
    } else {
      return hn::PromoteTo(d, v);
    }
  } else if constexpr (kMaskedLoads) {
    const hn::Rebind<float, D> singles;
    const hn::Rebind<std::uint16_t, D> bits;
    const auto v = hn::MaskedLoad(hn::FirstN(bits, n), bits,
                                  reinterpret_cast<const std::uint16_t*>(p));
    const auto elements = hn::BitCast(ElementsOf<D, T>(), v);
    if constexpr (std::is_same_v<hn::TFromD<D>, double>) {
      return hn::PromoteTo(d, hn::PromoteTo(singles, elements));
    } else {
      return hn::PromoteTo(d, elements);
    }
  } else {
    T copy[hn::MaxLanes(d)] = {};
    std::memcpy(copy, p, n * sizeof(T));
    return LoadAs(d, copy);
  }
}

/// LoadAs where `count` is the number of lanes, else LoadFirstAs.
template <class D, typename T>
HWY_INLINE hn::Vec<D> LoadUpTo(D d, const T* p, std::int64_t count) {
  return count < static_cast<std::int64_t>(hn::MaxLanes(d))
             ? LoadFirstAs(d, p, count)
             : LoadAs(d, p);
}

/// float32 values rounded to bfloat16, to nearest even, each in the upper half
/// of its lane.
template <class D, class U = hn::RebindToUnsigned<D>>
HWY_INLINE hn::Vec<U> ToUpperBfloat16(D d, hn::Vec<D> v) {
  const U u;
  const auto bits = hn::BitCast(u, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(u, 1));
  const auto rounded = hn::Add(hn::Add(bits, hn::Set(u, 0x7FFF)), odd);
  // Rounding must not carry the payload of a NaN out of it.
  const auto quiet = hn::Or(bits, hn::Set(u, 0x00400000));
  static_cast<void>(d);
  return hn::IfThenElse(hn::RebindMask(u, hn::IsNaN(v)), quiet, rounded);
}

/// Elements that LoadPairs takes.
inline constexpr std::int64_t kPairs = 2 * kSingles;

/// Whether elements are loaded and stored as those of LoadPairs.
template <typename T>
inline constexpr bool kInPairs =
    std::is_same_v<T, Bfloat16>&& HWY_TARGET != HWY_SCALAR;

/// The even and the odd ones of as many elements at `p` as two vectors have
/// lanes: a bfloat16 is the upper half of a float32. Not for the scalar target,
/// whose loads need aligned words.
template <class V>
HWY_INLINE void LoadPairs(const Bfloat16* p, V& even, V& odd) {
  const hn::DFromV<V> d;
  const hn::RebindToUnsigned<hn::DFromV<V>> u;
  const auto bits = hn::LoadU(u, reinterpret_cast<const std::uint32_t*>(p));
  even = hn::BitCast(d, hn::ShiftLeft<16>(bits));
  odd = hn::BitCast(d, hn::And(bits, hn::Set(u, 0xFFFF0000U)));
}

/// Whether consecutive elements are summed as LoadPairs loads them: where a
/// vector has as many lanes as remain of a sum.
template <typename T>
inline constexpr bool kSumsInPairs =
    std::is_same_v<T, Bfloat16>&& HWY_TARGET <= HWY_AVX3;

/// LoadPairs of the first `count` elements, then zeros. Touches no others.
template <class V>
HWY_INLINE void LoadFirstPairs(const Bfloat16* p, std::int64_t count, V& even,
                               V& odd) {
  const hn::DFromV<V> d;
  const hn::Repartition<std::uint16_t, hn::DFromV<V>> elements;
  const auto in_run = hn::FirstN(elements, static_cast<std::size_t>(count));
  const hn::RebindToUnsigned<hn::DFromV<V>> u;
  const auto bits =
      hn::BitCast(u, hn::MaskedLoad(in_run, elements,
                                    reinterpret_cast<const std::uint16_t*>(p)));
  even = hn::BitCast(d, hn::ShiftLeft<16>(bits));
  odd = hn::BitCast(d, hn::And(bits, hn::Set(u, 0xFFFF0000U)));
}

#if HWY_TARGET != HWY_SCALAR
/// Copies as many values as two vectors have lanes in the order of LoadPairs:
/// the even ones, then the odd ones.
template <class D, typename T>
HWY_INLINE void CopyPairs(D d, const T* from, T* to) {
  constexpr auto kVector = static_cast<std::int64_t>(hn::MaxLanes(D()));
  const auto lower = hn::LoadU(d, from);
  const auto upper = hn::LoadU(d, from + kVector);
  hn::StoreU(hn::ConcatEven(d, upper, lower), d, to);
  hn::StoreU(hn::ConcatOdd(d, upper, lower), d, to + kVector);
}
#endif

/// Rounds finite numbers to bfloat16, to nearest even, in the order of
/// LoadPairs.
HWY_INLINE hn::Vec<hn::RebindToUnsigned<Singles>> RoundPairs(SingleVector even,
                                                             SingleVector odd) {
  const hn::RebindToUnsigned<Singles> u;
  const auto round = [&](SingleVector v) HWY_ATTR {
    const auto bits = hn::BitCast(u, v);
    const auto is_odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(u, 1));
    return hn::Add(hn::Add(bits, hn::Set(u, 0x7FFF)), is_odd);
  };
  return hn::Or(hn::ShiftRight<16>(round(even)),
                hn::And(round(odd), hn::Set(u, 0xFFFF0000U)));
}

/// Stores what RoundPairs returns: past the caches if `kStream`, to an aligned
/// place.
template <bool kStream>
HWY_INLINE void StorePairs(hn::Vec<hn::RebindToUnsigned<Singles>> rounded,
                           Bfloat16* p) {
  const hn::RebindToUnsigned<Singles> u;
  auto* words = reinterpret_cast<std::uint32_t*>(p);
  if constexpr (kStream) {
    hn::Stream(rounded, u, words);
  } else {
    hn::StoreU(rounded, u, words);
  }
}

/// Rounds each value once, to nearest even, to T.
template <typename T, class D>
HWY_INLINE hn::Vec<ElementsOf<D, T>> ToElements(D d, hn::Vec<D> v) {
  const ElementsOf<D, T> elements;
  if constexpr (std::is_same_v<hn::TFromD<D>, T>) {
    return v;
  } else if constexpr (std::is_same_v<T, float>) {
#if HWY_TARGET == HWY_SCALAR
    // Highway's own makes finite numbers of infinities.
    return hn::Set(elements, static_cast<float>(hn::GetLane(v)));
#else
    return hn::DemoteTo(elements, v);
  } else if constexpr (std::is_same_v<T, Float16> &&
                       std::is_same_v<hn::TFromD<D>, float>) {
    return hn::DemoteTo(elements, v);
  } else if constexpr (std::is_same_v<T, Bfloat16> &&
                       std::is_same_v<hn::TFromD<D>, float>) {
    const hn::RebindToSigned<D> signed_lanes;
    const auto upper = hn::ShiftRight<16>(ToUpperBfloat16(d, v));
    return hn::BitCast(elements,
                       hn::DemoteTo(hn::Rebind<std::uint16_t, D>(),
                                    hn::BitCast(signed_lanes, upper)));
#endif
  } else {
    // From double, not by way of float, which would round twice.
    HWY_ALIGN hn::TFromD<D> values[hn::MaxLanes(d)];
    hn::Store(v, d, values);
    std::uint16_t bits[hn::MaxLanes(d)];
    for (std::size_t i = 0; i < hn::MaxLanes(d); ++i) {
      bits[i] = FromDouble<T>(values[i]).bits;
    }
    const hn::Rebind<std::uint16_t, D> bit_lanes;
    return hn::BitCast(elements, hn::LoadU(bit_lanes, bits));
  }
}

/// Stores vectors of elements.
template <class D, typename T>
HWY_INLINE void StoreAs(D d, hn::Vec<D> v, T* p) {
  hn::StoreU(ToElements<T>(d, v), ElementsOf<D, T>(),
             reinterpret_cast<typename Storage<T>::Lane*>(p));
}

/// What a vector of elements has.
template <class D, typename T>
inline constexpr std::int64_t kVectorBytes = hn::MaxLanes(D()) * sizeof(T);

/// Highway writes so many past the caches even of shorter vectors.
inline constexpr std::int64_t kMinStreamBytes = 16;

/// Likewise, past the caches; `p` must be aligned to the vector of elements.
/// Shorter ones than kMinStreamBytes are stored as others are.
template <class D, typename T>
HWY_INLINE void StreamAs(D d, hn::Vec<D> v, T* p) {
  if constexpr (kVectorBytes<D, T> < kMinStreamBytes) {
    StoreAs(d, v, p);
  } else {
    hn::Stream(ToElements<T>(d, v), ElementsOf<D, T>(),
               reinterpret_cast<typename Storage<T>::Lane*>(p));
  }
}

/// The same of the first `count` values, fewer than there are lanes. Touches no
/// other elements, which another thread may be writing.
template <class D, typename T>
HWY_INLINE void StoreFirstAs(D d, hn::Vec<D> v, T* p, std::int64_t count) {
  const auto n = static_cast<std::size_t>(count);
#if HWY_TARGET <= HWY_AVX2
  if constexpr (std::is_same_v<hn::TFromD<D>, T>) {
    hn::BlendedStore(v, hn::FirstN(d, n), d, p);
    return;
  }
#endif
  if constexpr (hn::MaxLanes(D()) > 1) {
    T copy[hn::MaxLanes(d)];
    StoreAs(d, v, copy);
    std::memcpy(p, copy, n * sizeof(T));
  }
}

/// StoreAs where `count` is the number of lanes, else StoreFirstAs.
template <class D, typename T>
HWY_INLINE void StoreUpTo(D d, hn::Vec<D> v, T* p, std::int64_t count) {
  if (count < static_cast<std::int64_t>(hn::MaxLanes(d))) {
    StoreFirstAs(d, v, p, count);
  } else {
    StoreAs(d, v, p);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_VECTORS_INL_H_
