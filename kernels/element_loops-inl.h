// Loops over the elements of blocks: what is done to an element is a functor's
// affair.

#if defined(GROUPNORM_KERNELS_ELEMENT_LOOPS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_ELEMENT_LOOPS_INL_H_
#undef GROUPNORM_KERNELS_ELEMENT_LOOPS_INL_H_
#else
#define GROUPNORM_KERNELS_ELEMENT_LOOPS_INL_H_
#endif

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

inline constexpr std::int64_t kCacheLine = 64;

/// Columns that rows side by side are written at a time, `kVector` elements
/// with each store. Past the caches that is a whole line of one row: lines of
/// several rows that are left half written may go to memory in halves. Where
/// StreamAs has too little to stream, it is one store.
template <bool kStream, typename T, std::int64_t kVector>
inline constexpr std::int64_t kRowStep =
    kStream&& kVector* static_cast<std::int64_t>(sizeof(T)) >= kMinStreamBytes
        ? std::max(kVector, kCacheLine / static_cast<std::int64_t>(sizeof(T)))
        : kVector;

/// How results reach memory, which no bit depends on.
struct Traffic {
  /// Past the caches, since they will not be read soon: worth it where the
  /// tensors exceed the caches.
  bool stream = false;
};

HWY_INLINE void FetchLines(const void* begin, std::int64_t bytes) {
  const char* line = static_cast<const char*>(begin);
  for (std::int64_t i = 0; i < bytes; i += kCacheLine) {
    // To the second level: the first is full of what is being worked on.
    __builtin_prefetch(line + i, 0, 2);
  }
}

/// Elements until `p` is aligned to a cache line.
template <typename T>
HWY_INLINE std::int64_t ElementsToLine(const T* p) {
  const auto misaligned = static_cast<std::int64_t>(
      reinterpret_cast<std::uintptr_t>(p) % kCacheLine);
  return (kCacheLine - misaligned) % kCacheLine /
         static_cast<std::int64_t>(sizeof(T));
}

template <class D, typename T, class Map>
HWY_INLINE void StoreMapped(D d, const T* HWY_RESTRICT x, T* HWY_RESTRICT y,
                            std::int64_t i, const Map& map) {
  StoreAs(d, map(LoadAs(d, x + i), i), y + i);
}

/// Whether a map is the same for all elements of a run and its values are
/// finite: maps that are say so.
template <class Map, class = void>
struct IsFiniteMap : std::false_type {};
template <class Map>
struct IsFiniteMap<Map, std::void_t<typename Map::IsFinite>> : std::true_type {
};

#if HWY_TARGET != HWY_SCALAR
/// The whole vectors of a run, two at a time. Returns how many elements it did.
template <class Map>
HWY_INLINE std::int64_t MapPairs(const Bfloat16* HWY_RESTRICT x,
                                 Bfloat16* HWY_RESTRICT y, std::int64_t count,
                                 const Traffic& traffic, const Map& map) {
  const hn::RebindToUnsigned<Singles> u;
  std::int64_t i = 0;
  const bool stream = traffic.stream && count >= 4 * kPairs;
  if (stream) {
    i = ElementsToLine(y);
    for (std::int64_t j = 0; j < i; j += kSingles) {
      StoreMapped(Singles(), x, y, j, map);
    }
  }
  for (; i + kPairs <= count; i += kPairs) {
    SingleVector even, odd;
    LoadPairs(x + i, even, odd);
    const auto rounded = RoundPairs(map(even, 0), map(odd, 0));
    auto* out = reinterpret_cast<std::uint32_t*>(y + i);
    if (stream) {
      hn::Stream(rounded, u, out);
    } else {
      hn::StoreU(rounded, u, out);
    }
  }
  if (i + kSingles <= count) {
    StoreAs(Singles(), map(LoadAs(Singles(), x + i), 0), y + i);
    i += kSingles;
  }
  return i;
}
#endif

/// Computes `count` consecutive elements of `y` from those of `x`:
/// `map(vector, i)` gives those from element i on. Some are computed twice.
template <class D, typename T, class Map>
HWY_INLINE void MapRun(const T* HWY_RESTRICT x, T* HWY_RESTRICT y,
                       std::int64_t count, const Traffic& traffic,
                       const Map& map) {
  const D d;
  constexpr auto kVector = static_cast<std::int64_t>(hn::MaxLanes(D()));
  constexpr std::int64_t kStep = 4 * kVector;
  if (count < kVector) {
    StoreFirstAs(d, map(LoadFirstAs(d, x, count), 0), y, count);
    return;
  }
  std::int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  if constexpr (std::is_same_v<T, Bfloat16> && IsFiniteMap<Map>::value) {
    i = MapPairs(x, y, count, traffic, map);
  } else
#endif
      if (const std::int64_t head = ElementsToLine(y);
          traffic.stream && (head == 0 || count >= head + kStep)) {
    // An ordinary store that misses the caches holds up all stores after it, so
    // there are as few as can be.
    for (; i < head; i += kVector) StoreMapped(d, x, y, i, map);
    i = head;
    for (; i + kVector <= count; i += kVector) {
      StreamAs(d, map(LoadAs(d, x + i), i), y + i);
    }
  } else {
    for (; i + kStep <= count; i += kStep) {
      StoreMapped(d, x, y, i, map);
      StoreMapped(d, x, y, i + kVector, map);
      StoreMapped(d, x, y, i + 2 * kVector, map);
      StoreMapped(d, x, y, i + 3 * kVector, map);
    }
    for (; i + kVector <= count; i += kVector) StoreMapped(d, x, y, i, map);
  }
  if (i < count) StoreMapped(d, x, y, count - kVector, map);
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_ELEMENT_LOOPS_INL_H_
