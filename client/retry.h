#ifndef GROUPNORM_CLIENT_RETRY_H_
#define GROUPNORM_CLIENT_RETRY_H_

#include <optional>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

/// What decides whether and when a call is tried again. Nothing here reads a
/// clock, draws a random number or waits.
///
/// Forward, Backward and GetServerInfo change nothing on a server, so any of
/// them may run twice.
namespace groupnorm {

/// Whether a text is the server's own: those of statuses that a network may
/// bring about too start so. gRPC itself does not tell who made a status.
bool IsFromServer(std::string_view text);

/// An attempt that brought no response.
struct AttemptFailure {
  absl::StatusCode code = absl::StatusCode::kUnknown;
  std::string text;
  /// How long the server wants the next attempt to wait; negative: for ever.
  std::optional<absl::Duration> pushback = std::nullopt;
};

/// The value of `grpc-retry-pushback-ms`. Whatever is no number counts as
/// negative, as gRPC has it.
absl::Duration ParsePushback(std::string_view text);

/// Whether another attempt may succeed, after one that did not run into the
/// deadline of its call. Transient are:
///
///  - UNAVAILABLE, whoever says so: no connection, a broken one, a server that
///    is full or drains;
///  - DEADLINE_EXCEEDED, where the attempt's own timeout ran out; not where the
///    request took longer to arrive than the server allows, `--read-timeout`;
///  - any stream that was reset, in the words of gRPC: by a server that ended,
///    by a proxy that lost its server, or (RESOURCE_EXHAUSTED) by a server that
///    ran out of memory for messages and cancelled what it saw first;
///  - CANCELLED without the server's words: it ended before it could answer.
///
/// A negative pushback makes anything final.
bool IsTransient(const AttemptFailure& failure);

/// Time to wait before attempt `attempts` + 1, from a draw in [0, 1): the
/// draw's share of a limit that starts at 50 ms, doubles with each attempt and
/// ends at 1 s ("full jitter": callers that failed together do not come back
/// together). Where the server gave a time, that comes on top of it, so that
/// nobody comes early and a server that goes on refusing is asked less and less
/// often.
absl::Duration RetryDelay(int attempts, std::optional<absl::Duration> pushback,
                          double draw);

/// Keeps the retries of one Client in proportion to what succeeds, so that an
/// outage is not made worse by those that wait for its end.
///
/// A retry takes a token. It gets it back when it succeeds, so a recovery is
/// not held up; a first attempt that succeeds brings a quarter of one, and
/// every second brings ten, up to a hundred. So a client sends at most 100
/// retries in vain at once, then ten in a second and one for four calls that
/// succeed. A call that finds no token waits; it does not fail.
///
/// Thread-safe.
class RetryBudget {
 public:
  explicit RetryBudget(absl::Time now);

  /// Takes a token. False: there is none.
  bool Take(absl::Time now);

  /// An attempt succeeded: the first of its call, or one that took a token.
  void AddSuccess(bool took_token);

 private:
  absl::Mutex mutex_;
  double tokens_ ABSL_GUARDED_BY(mutex_);
  absl::Time refilled_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace groupnorm

#endif  // GROUPNORM_CLIENT_RETRY_H_
