#include "client/cli/flag_checks.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace groupnorm::cli {

namespace {

constexpr char kBetweenChoices[] = "|";

}  // namespace

std::string WholeNumberFault(const std::string& text) {
  std::int64_t ignored = 0;
  if (absl::SimpleAtoi(text, &ignored)) return "";
  return absl::StrCat("\"", text, "\", expected a whole number");
}

std::string NumberFault(const std::string& text) {
  double ignored = 0;
  if (absl::SimpleAtod(text, &ignored)) return "";
  return absl::StrCat("\"", text, "\", expected a number");
}

void OneOf(CLI::Option& option, const std::vector<std::string>& words) {
  option.type_name(absl::StrJoin(words, kBetweenChoices))
      ->check([words](const std::string& text) {
        if (std::find(words.begin(), words.end(), text) != words.end()) {
          return std::string();
        }
        return absl::StrCat("\"", text, "\", expected ",
                            words.size() > 1 ? "one of " : "",
                            absl::StrJoin(words, ", "));
      });
}

std::vector<std::string> ChoicesOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  // Types that stand for something else are in capitals.
  if (std::none_of(type.begin(), type.end(), absl::ascii_islower)) return {};
  return absl::StrSplit(type, kBetweenChoices);
}

}  // namespace groupnorm::cli
