#ifndef GROUPNORM_SERVER_RETRY_PUSHBACK_H_
#define GROUPNORM_SERVER_RETRY_PUSHBACK_H_

#include "absl/time/time.h"

namespace groupnorm {

/// Least time for which a caller that was shed is asked to stay away: of the
/// order of one large request. Also what a draining server asks for, whose
/// callers find another one.
inline constexpr absl::Duration kMinRetryPushback = absl::Milliseconds(100);

/// Most time. A server that answers nothing any more asks for this.
inline constexpr absl::Duration kMaxRetryPushback = absl::Seconds(5);

/// How long callers that are shed are asked to stay away:
///
///     calls in flight / 2 x time for each answer x refusals for each answer
///
/// (the last factor at least 1), within the two bounds above. So they come back
/// when half of the queue has been worked off, and the more of them there are,
/// the later: what their retries cost the server stays a fraction of what it
/// answers. Time and refusals for an answer are means over some 8 answers, and
/// at least what has passed since the last one. Not thread-safe.
class RetryPushback {
 public:
  /// The first call in flight was admitted: until now there was nothing to
  /// answer.
  void Began(absl::Time now);

  /// A call was answered.
  void Answered(absl::Time now);

  /// A call was shed.
  void Shed() { shed_since_ += 1; }

  /// What to ask for at `now`.
  absl::Duration After(int calls_in_flight, absl::Time now) const;

 private:
  absl::Time since_ = absl::InfiniteFuture();  // The last answer.
  double shed_since_ = 0;
  absl::Duration mean_interval_ = absl::ZeroDuration();
  double mean_shed_ = 0;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_RETRY_PUSHBACK_H_
