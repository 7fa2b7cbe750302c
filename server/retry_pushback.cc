#include "server/retry_pushback.h"

#include <algorithm>

namespace groupnorm {
namespace {

// What the newest answer weighs in the means.
constexpr double kWeight = 1.0 / 8;

}  // namespace

void RetryPushback::Began(absl::Time now) { since_ = now; }

void RetryPushback::Answered(absl::Time now) {
  mean_interval_ += ((now - since_) - mean_interval_) * kWeight;
  mean_shed_ += (shed_since_ - mean_shed_) * kWeight;
  since_ = now;
  shed_since_ = 0;
}

absl::Duration RetryPushback::After(int calls_in_flight, absl::Time now) const {
  const absl::Duration interval = std::max(mean_interval_, now - since_);
  const double shed = std::max({1.0, mean_shed_, shed_since_});
  return std::clamp(interval * (0.5 * calls_in_flight * shed),
                    kMinRetryPushback, kMaxRetryPushback);
}

}  // namespace groupnorm
