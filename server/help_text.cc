#include "server/help_text.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace groupnorm {

std::string WrapHelp(const std::string& text) {
  constexpr std::size_t kLineBytes = 50;
  std::string wrapped;
  std::size_t line_bytes = 0;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    if (line_bytes > 0) {
      const bool fits = line_bytes + 1 + word.size() <= kLineBytes;
      wrapped += fits ? ' ' : '\n';
      line_bytes = fits ? line_bytes + 1 : 0;
    }
    absl::StrAppend(&wrapped, word);
    line_bytes += word.size();
  }
  return wrapped;
}

}  // namespace groupnorm
