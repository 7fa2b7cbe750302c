#ifndef GROUPNORM_CLIENT_CLI_PROGRESS_LINE_H_
#define GROUPNORM_CLIENT_CLI_PROGRESS_LINE_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/time/time.h"

namespace groupnorm::cli {

/// The start of a text in UTF-8 that is no wider than `columns`, with whole
/// characters. Counts bytes: no character is wider than it is long.
std::string CutToWidth(const std::string& text, std::size_t columns);

/// One line on standard error that is written over, for what takes longer than
/// a second, and gone when the object goes. Cut to the width of the terminal,
/// since what wraps is not written over. Nothing where that is no terminal.
/// Not thread-safe.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();

  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  /// Shows what `text` returns, at most ten times a second. It is not called
  /// where nothing is shown.
  void Update(const std::function<std::string()>& text);

 private:
  const bool terminal_;
  absl::Time next_;
  bool shown_ = false;
};

}  // namespace groupnorm::cli

#endif  // GROUPNORM_CLIENT_CLI_PROGRESS_LINE_H_
