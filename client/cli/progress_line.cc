#include "client/cli/progress_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "absl/time/clock.h"

namespace groupnorm::cli {

namespace {

/// Columns that text fits into without wrapping, on standard error.
std::size_t Width() {
  constexpr std::size_t kUnknown = 79;  // A terminal may not tell its width.
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) {
    return kUnknown;
  }
  return std::size_t{size.ws_col} - 1;
}

}  // namespace

std::string CutToWidth(const std::string& text, std::size_t columns) {
  if (text.size() <= columns) return text;
  const auto continues = [&](std::size_t at) {
    return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80;
  };
  while (columns > 0 && continues(columns)) --columns;
  return text.substr(0, columns);
}

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
  std::fprintf(stderr, "\r%s\033[K", CutToWidth(text(), Width()).c_str());
}

}  // namespace groupnorm::cli
