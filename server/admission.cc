#include "server/admission.h"

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace groupnorm {

absl::Status DrainingError() {
  return absl::UnavailableError("server: draining, expected another server");
}

AdmissionController::AdmissionController(int max_queued_calls)
    : max_queued_calls_(max_queued_calls) {}

absl::Status AdmissionController::Admit(absl::Time deadline) {
  absl::MutexLock lock(&mutex_);
  if (draining_) return DrainingError();
  if (deadline <= absl::Now()) {
    return absl::DeadlineExceededError(
        "deadline: passed before the request was read");
  }
  if (in_flight_ >= max_queued_calls_) {
    return absl::UnavailableError(
        absl::StrCat("server: ", in_flight_, " calls in flight, limit ",
                     max_queued_calls_, " (--max-queued-calls)"));
  }
  ++in_flight_;
  return absl::OkStatus();
}

void AdmissionController::Answered() {
  absl::MutexLock lock(&mutex_);
  --in_flight_;
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

}  // namespace groupnorm
