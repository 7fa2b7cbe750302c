#include "server/transfer_timeout.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace groupnorm {

void TransferTimeout::Start(grpc::ServerCompletionQueue* queue,
                            absl::Duration timeout,
                            std::function<void()> expired) {
  absl::MutexLock lock(&mutex_);
  if (stopped_) return;
  expired_ = std::move(expired);
  alarm_.Set(queue, absl::ToChronoTime(absl::Now() + timeout),
             tag_.Arm([this](bool in_time) { OnAlarm(in_time); }));
}

void TransferTimeout::OnAlarm(bool in_time) {
  std::function<void()> expired;  // Destroyed without the lock, and perhaps
                                  // this with it.
  {
    absl::MutexLock lock(&mutex_);
    expired = std::exchange(expired_, nullptr);
    if (!in_time || stopped_) return;
  }
  expired();
}

void TransferTimeout::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  alarm_.Cancel();
}

absl::Status ReadTimeoutError(absl::Duration read_timeout) {
  return absl::DeadlineExceededError(
      absl::StrCat("deadline: the request has not arrived within ",
                   absl::FormatDuration(read_timeout), " (--read-timeout)"));
}

}  // namespace groupnorm
