#include "bench/limits.h"

#include <algorithm>
#include <array>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "bench/limits.cc"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm::bench {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Words, whatever the elements are: no value of a float may slow a limit down.
using Word = hn::ScalableTag<std::uint64_t>;

// Calls `move(at)` for every vector of words, four in a row at a time. The
// buffers reach to the next multiple of 64 bytes.
template <typename Move>
HWY_INLINE void ForEachVector(std::size_t bytes, const Move& move) {
  const std::size_t lanes = hn::Lanes(Word());
  const std::size_t words = (bytes + 63) / 64 * 8;
  std::size_t at = 0;
  for (; at + 4 * lanes <= words; at += 4 * lanes) {
    move(at);
    move(at + lanes);
    move(at + 2 * lanes);
    move(at + 3 * lanes);
  }
  for (; at < words; at += lanes) move(at);
}

// What is read once is fetched past the outer caches: with non-temporal stores
// this made a copy of 134 MB 1.2 times as fast, and a triad 1.3 times.
HWY_INLINE void FetchAhead(const std::uint64_t* words) {
  constexpr std::size_t kWordsAhead = 128;
  __builtin_prefetch(words + kWordsAhead, /*rw=*/0, /*locality=*/0);
}

const std::uint64_t* Words(const std::byte* bytes) {
  return reinterpret_cast<const std::uint64_t*>(bytes);
}

std::uint64_t* Words(std::byte* bytes) {
  return reinterpret_cast<std::uint64_t*>(bytes);
}

void CopyNonTemporal(const std::byte* input, const std::byte* /*second_input*/,
                     std::size_t bytes, std::byte* output) {
  const std::uint64_t* HWY_RESTRICT from = Words(input);
  std::uint64_t* HWY_RESTRICT to = Words(output);
  ForEachVector(bytes, [&](std::size_t at) HWY_ATTR {
    FetchAhead(from + at);
    hn::Stream(hn::Load(Word(), from + at), Word(), to + at);
  });
  hwy::FlushStream();
}

void Triad(const std::byte* input, const std::byte* second_input,
           std::size_t bytes, std::byte* output) {
  const std::uint64_t* HWY_RESTRICT a = Words(input);
  const std::uint64_t* HWY_RESTRICT b = Words(second_input);
  std::uint64_t* HWY_RESTRICT to = Words(output);
  ForEachVector(bytes, [&](std::size_t at) HWY_ATTR {
    hn::Store(hn::Add(hn::Load(Word(), a + at), hn::Load(Word(), b + at)),
              Word(), to + at);
  });
}

void TriadNonTemporal(const std::byte* input, const std::byte* second_input,
                      std::size_t bytes, std::byte* output) {
  const std::uint64_t* HWY_RESTRICT a = Words(input);
  const std::uint64_t* HWY_RESTRICT b = Words(second_input);
  std::uint64_t* HWY_RESTRICT to = Words(output);
  ForEachVector(bytes, [&](std::size_t at) HWY_ATTR {
    FetchAhead(a + at);
    FetchAhead(b + at);
    hn::Stream(hn::Add(hn::Load(Word(), a + at), hn::Load(Word(), b + at)),
               Word(), to + at);
  });
  hwy::FlushStream();
}

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace groupnorm::bench {

namespace {

HWY_EXPORT(CopyNonTemporal);
HWY_EXPORT(Triad);
HWY_EXPORT(TriadNonTemporal);

// The C library's copy, which in caches is up to 1.3 times as fast as a loop of
// vectors. One task is below the size at which it takes non-temporal stores.
void Copy(const std::byte* input, const std::byte* /*second_input*/,
          std::size_t bytes, std::byte* output) {
  std::memcpy(output, input, bytes);
}

// Small enough that two threads end at about the same time, large enough that
// taking one costs nothing.
constexpr std::size_t kTaskBytes = std::size_t{256} << 10;

using Loop = void (*)(const std::byte*, const std::byte*, std::size_t,
                      std::byte*);
std::array<Loop, 4> loops;  // Triad's last, each plain first.

}  // namespace

void ChooseVectorsOfLimits() {
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  loops = {&Copy, &HWY_DYNAMIC_DISPATCH(CopyNonTemporal),
           &HWY_DYNAMIC_DISPATCH(Triad),
           &HWY_DYNAMIC_DISPATCH(TriadNonTemporal)};
}

Limit::Loop Limit::LoopOf(Stores stores, bool is_triad) {
  return loops[(is_triad ? 2 : 0) + (stores == Stores::kPlain ? 0 : 1)];
}

Limit::Limit(Stores stores, std::size_t bytes, const std::byte* input,
             const std::byte* second_input, std::byte* output)
    : loop_(LoopOf(stores, second_input != nullptr)),
      bytes_(bytes),
      input_(input),
      second_input_(second_input),
      output_(output) {}

std::int64_t Limit::num_tasks(std::int64_t /*phase*/) const {
  return static_cast<std::int64_t>((bytes_ + kTaskBytes - 1) / kTaskBytes);
}

void Limit::RunTask(std::int64_t /*phase*/, std::int64_t task) {
  const std::size_t begin = static_cast<std::size_t>(task) * kTaskBytes;
  loop_(input_ + begin,
        second_input_ == nullptr ? nullptr : second_input_ + begin,
        std::min(kTaskBytes, bytes_ - begin), output_ + begin);
}

}  // namespace groupnorm::bench
#endif  // HWY_ONCE
