#include "client/retry.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace groupnorm {

namespace {

// A server that refused may be another one at once; waiting longer than a
// second for a server that is back helps nobody.
constexpr absl::Duration kFirstDelay = absl::Milliseconds(50);
constexpr absl::Duration kLongestDelay = absl::Seconds(1);
// 50 ms doubled that often is beyond a second.
constexpr int kDoublings = 5;

constexpr double kMaxTokens = 100;
constexpr double kTokensPerSecond = 10;
constexpr double kTokensPerSuccess = 0.25;

absl::string_view View(std::string_view text) {
  return {text.data(), text.size()};
}

}  // namespace

bool IsFromServer(std::string_view text) {
  return text.starts_with("server: ") || text.starts_with("deadline: ");
}

absl::Duration ParsePushback(std::string_view text) {
  std::int64_t milliseconds = 0;
  if (!absl::SimpleAtoi(View(text), &milliseconds)) milliseconds = -1;
  return absl::Milliseconds(milliseconds);
}

bool IsTransient(const AttemptFailure& failure) {
  if (failure.pushback && *failure.pushback < absl::ZeroDuration()) {
    return false;
  }
  switch (failure.code) {
    case absl::StatusCode::kUnavailable:
      return true;
    case absl::StatusCode::kDeadlineExceeded:
      // The next attempt sends as much over the same line.
      return !absl::EndsWith(failure.text, "(--read-timeout)");
    case absl::StatusCode::kCancelled:
      return !IsFromServer(failure.text);
    default:
      return absl::StartsWith(failure.text,
                              "Received RST_STREAM with error code");
  }
}

absl::Duration RetryDelay(int attempts, std::optional<absl::Duration> pushback,
                          double draw) {
  const int doublings = std::clamp(attempts - 1, 0, kDoublings);
  const absl::Duration limit =
      std::min(kFirstDelay * (1 << doublings), kLongestDelay);
  return pushback.value_or(absl::ZeroDuration()) + limit * draw;
}

RetryBudget::RetryBudget(absl::Time now)
    : tokens_(kMaxTokens), refilled_(now) {}

bool RetryBudget::Take(absl::Time now) {
  absl::MutexLock lock(&mutex_);
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(now - refilled_));
  tokens_ = std::min(kMaxTokens, tokens_ + seconds * kTokensPerSecond);
  refilled_ = std::max(refilled_, now);
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

void RetryBudget::AddSuccess(bool took_token) {
  absl::MutexLock lock(&mutex_);
  tokens_ =
      std::min(kMaxTokens, tokens_ + (took_token ? 1 : kTokensPerSuccess));
}

}  // namespace groupnorm
