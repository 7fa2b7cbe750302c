#ifndef GROUPNORM_BENCH_SERVICE_BLOCKING_LOAD_H_
#define GROUPNORM_BENCH_SERVICE_BLOCKING_LOAD_H_

#include <memory>
#include <vector>

#include "bench/service/load.h"

namespace groupnorm::bench {

/// What makes one call at a time, from an array and to one. Its memory is
/// allocated and written before the first measurement.
class BlockingCaller {
 public:
  virtual ~BlockingCaller() = default;

  /// Makes the call and waits for the response.
  virtual absl::Status Call() = 0;

  /// Whether the last response was the right one.
  virtual bool IsRight() const = 0;
};

/// A thread for each of the callers.
class BlockingLoad final : public Load {
 public:
  explicit BlockingLoad(std::vector<std::unique_ptr<BlockingCaller>> callers);

  absl::Status Check() override;
  absl::StatusOr<std::vector<double>> Run(absl::Time end) override;

 private:
  std::vector<std::unique_ptr<BlockingCaller>> callers_;
};

}  // namespace groupnorm::bench

#endif  // GROUPNORM_BENCH_SERVICE_BLOCKING_LOAD_H_
