#include "client/cli/activity_line.h"

#include <unistd.h>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/progress_line.h"

namespace groupnorm::cli {

namespace {

void Show(const std::string& activity, absl::Notification& over) {
  constexpr absl::Duration kInterval = absl::Milliseconds(100);
  const absl::Time start = absl::Now();
  ProgressLine line;
  while (!over.WaitForNotificationWithTimeout(kInterval)) {
    line.Update([&] {
      return absl::StrFormat("%s, %d s", activity,
                             absl::ToInt64Seconds(absl::Now() - start));
    });
  }
}

}  // namespace

ActivityLine::ActivityLine(const std::string& activity) {
  if (isatty(STDERR_FILENO) == 0) return;
  thread_ = std::thread([this, activity] { Show(activity, over_); });
}

ActivityLine::~ActivityLine() {
  over_.Notify();
  if (thread_.joinable()) thread_.join();
}

}  // namespace groupnorm::cli
