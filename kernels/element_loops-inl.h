// Loops over the elements of blocks: what is done to an element is a functor's
// affair.

#if defined(GROUPNORM_KERNELS_ELEMENT_LOOPS_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_ELEMENT_LOOPS_INL_H_
#undef GROUPNORM_KERNELS_ELEMENT_LOOPS_INL_H_
#else
#define GROUPNORM_KERNELS_ELEMENT_LOOPS_INL_H_
#endif

#include <cstddef>
#include <cstdint>

#include "kernels/vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

inline constexpr std::int64_t kCacheLine = 64;

/// How results reach memory, which no bit depends on.
struct Traffic {
  /// Past the caches, since they will not be read soon: worth it where the
  /// tensors exceed the caches.
  bool stream = false;
  /// Elements from the one being written to one that will soon be read, or 0:
  /// it is fetched meanwhile, so that reads and writes overlap.
  std::int64_t fetch_ahead = 0;
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
  if (traffic.stream && (count >= kStep || ElementsToLine(y) == 0)) {
    // An ordinary store that misses the caches holds up all stores after it, so
    // there are as few as can be.
    i = ElementsToLine(y);
    if (i > 0) StoreMapped(d, x, y, 0, map);
    for (; i + kVector <= count; i += kVector) {
      StreamAs(d, map(LoadAs(d, x + i), i), y + i);
    }
  } else {
    for (; i + kStep <= count; i += kStep) {
      if (traffic.fetch_ahead != 0) {
        FetchLines(x + i + traffic.fetch_ahead, kStep * sizeof(T));
      }
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
