#ifndef GROUPNORM_CLIENT_CLI_ACTIVITY_LINE_H_
#define GROUPNORM_CLIENT_CLI_ACTIVITY_LINE_H_

#include <string>
#include <thread>

#include "absl/synchronization/notification.h"

namespace groupnorm::cli {

/// Says what a command is about and for how many seconds, while the object
/// lives: for steps that cannot tell how far they are. A ProgressLine with a
/// thread of its own, which exists only where standard error is a terminal;
/// nothing else may be written there meanwhile.
class ActivityLine {
 public:
  /// As in "reading x.npy".
  explicit ActivityLine(const std::string& activity);
  ~ActivityLine();

  ActivityLine(const ActivityLine&) = delete;
  ActivityLine& operator=(const ActivityLine&) = delete;

 private:
  absl::Notification over_;
  std::thread thread_;
};

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_ACTIVITY_LINE_H_
