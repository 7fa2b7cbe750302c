#include "client/cli/progress_line.h"

#include <unistd.h>

#include <cstdio>

#include "absl/time/clock.h"

namespace groupnorm::cli {

ProgressLine::ProgressLine()
    : terminal_(isatty(STDERR_FILENO) != 0),
      next_(absl::Now() + absl::Seconds(1)) {}

ProgressLine::~ProgressLine() {
  if (shown_) std::fprintf(stderr, "\r\033[K");
}

void ProgressLine::Update(const std::function<std::string()>& text) {
  if (!terminal_ || absl::Now() < next_) return;
  shown_ = true;
  next_ = absl::Now() + absl::Milliseconds(100);
  std::fprintf(stderr, "\r%s\033[K", text().c_str());
}

}  // namespace groupnorm::cli
