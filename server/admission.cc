#include "server/admission.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace groupnorm {

absl::Status DrainingError() {
  return absl::UnavailableError("server: draining, expected another server");
}

AdmissionController::AdmissionController(int max_queued_calls)
    : max_calls_(max_queued_calls),
      max_calls_of_connection_(std::max(1, max_queued_calls / 2)) {}

absl::Status AdmissionController::Admit(ConnectionId connection,
                                        absl::Time deadline) {
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&mutex_);
  if (draining_) return DrainingError();
  if (deadline <= now) {
    return absl::DeadlineExceededError(
        "deadline: passed before the request was read");
  }
  if (in_flight_ >= max_calls_) {
    pushback_.Shed();
    return absl::UnavailableError(
        absl::StrCat("server: ", in_flight_, " calls in flight, limit ",
                     max_calls_, " (--max-queued-calls)"));
  }
  const auto own = calls_of_connection_.try_emplace(connection, 0).first;
  if (own->second >= max_calls_of_connection_) {
    pushback_.Shed();
    return absl::UnavailableError(absl::StrCat(
        "server: ", own->second, " calls of this connection in flight, limit ",
        max_calls_of_connection_, " (half of --max-queued-calls)"));
  }
  ++own->second;
  if (in_flight_++ == 0) pushback_.Began(now);
  return absl::OkStatus();
}

void AdmissionController::Answered(ConnectionId connection) {
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&mutex_);
  pushback_.Answered(now);
  --in_flight_;
  const auto own = calls_of_connection_.find(connection);
  if (--own->second == 0) calls_of_connection_.erase(own);
}

absl::Duration AdmissionController::Pushback() const {
  const absl::Time now = absl::Now();
  absl::MutexLock lock(&mutex_);
  // A draining server stays full for ever; another one is not.
  return draining_ ? kMinRetryPushback : pushback_.After(in_flight_, now);
}

void AdmissionController::StartDraining() {
  absl::MutexLock lock(&mutex_);
  draining_ = true;
}

absl::Status AdmissionController::CheckNotDraining() const {
  absl::MutexLock lock(&mutex_);
  return draining_ ? DrainingError() : absl::OkStatus();
}

int AdmissionController::in_flight() const {
  absl::MutexLock lock(&mutex_);
  return in_flight_;
}

bool AdmissionController::AwaitAllAnswered(absl::Time deadline) const {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithDeadline(
      absl::Condition(
          +[](const int* in_flight) { return *in_flight == 0; }, &in_flight_),
      deadline);
}

}  // namespace groupnorm
