#ifndef GROUPNORM_BENCH_LIMITS_H_
#define GROUPNORM_BENCH_LIMITS_H_

#include <cstddef>
#include <cstdint>

#include "kernels/computation.h"

namespace groupnorm::bench {

/// How the limits write: through the caches, or past them.
enum class Stores : std::uint8_t { kPlain, kNonTemporal };

/// The least that any Forward or Backward has to do with its tensors, which is
/// what the kernels are measured against: a copy of the input to the output, or
/// a triad, which reads two tensors and writes one.
///
/// Uses the best vectors that the machine has, also where the kernels are made
/// to run on lesser ones.
class Limit : public Computation {
 public:
  /// A copy where `second_input` is null. All 64-byte aligned, of `bytes`
  /// bytes rounded up to a multiple of 64.
  Limit(Stores stores, std::size_t bytes, const std::byte* input,
        const std::byte* second_input, std::byte* output);

  std::int64_t num_phases() const override { return 1; }
  std::int64_t num_tasks(std::int64_t phase) const override;
  void RunTask(std::int64_t phase, std::int64_t task) override;

 private:
  using Loop = void (*)(const std::byte* input, const std::byte* second_input,
                        std::size_t bytes, std::byte* output);
  static Loop LoopOf(Stores stores, bool is_triad);

  const Loop loop_;
  const std::size_t bytes_;
  const std::byte* const input_;
  const std::byte* const second_input_;
  std::byte* const output_;
};

/// Finds out which vectors the machine has. To be called once, before a limit
/// is made and before the kernels are made to run on others.
void ChooseVectorsOfLimits();

}  // namespace groupnorm::bench

#endif  // GROUPNORM_BENCH_LIMITS_H_
