#include "server/flag_values.h"

#include <CLI/Error.hpp>
#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace groupnorm {
namespace {

constexpr std::array<std::pair<const char*, int>, 3> kUnits = {
    {{"GiB", 30}, {"MiB", 20}, {"KiB", 10}}};

constexpr std::array kLogLevels = {"debug", "info", "warning", "error", "off"};

}  // namespace

void Refuse(const std::string& flag, const std::string& value,
            const char* expected) {
  throw CLI::Error("Refused",
                   absl::StrCat(flag, ": '", value, "', expected ", expected));
}

int ParseNumber(const std::string& flag, const std::string& value) {
  int number = 0;
  if (!absl::SimpleAtoi(value, &number)) {
    Refuse(flag, value, "a whole number");
  }
  return number;
}

std::int64_t ParseSize(const std::string& flag, const std::string& value) {
  absl::string_view digits = value;
  int shift = 0;
  for (const auto& [unit, bits] : kUnits) {
    if (shift == 0 && absl::ConsumeSuffix(&digits, unit)) shift = bits;
  }
  std::int64_t count = 0;
  if (!absl::SimpleAtoi(digits, &count) || count < 0 ||
      count > (std::numeric_limits<std::int64_t>::max() >> shift)) {
    Refuse(flag, value, "bytes, or a size such as 256MiB (KiB, MiB, GiB)");
  }
  return count << shift;
}

absl::Duration ParseTimeout(const std::string& flag, const std::string& value) {
  absl::Duration timeout;
  // A bare number would be seconds to some and milliseconds to others. The
  // parser lets one pass, 0.
  if (value == "0" || !absl::ParseDuration(value, &timeout)) {
    Refuse(flag, value, "a duration such as 10s or 500ms");
  }
  return timeout;
}

bool ParseBool(const std::string& flag, const std::string& value) {
  if (value != "true" && value != "false") {
    Refuse(flag, value, "true or false");
  }
  return value == "true";
}

std::string ParseLogLevel(const std::string& flag, const std::string& value) {
  if (std::find(kLogLevels.begin(), kLogLevels.end(), value) ==
      kLogLevels.end()) {
    Refuse(flag, value, "debug, info, warning, error or off");
  }
  return value;
}

std::string Format(int number) { return absl::StrCat(number); }

std::string Format(std::int64_t bytes) {
  for (const auto& [unit, bits] : kUnits) {
    const std::int64_t count = bytes >> bits;
    if (count > 0 && count << bits == bytes) return absl::StrCat(count, unit);
  }
  return absl::StrCat(bytes);
}

std::string Format(absl::Duration timeout) {
  return timeout == absl::ZeroDuration() ? "0s" : absl::FormatDuration(timeout);
}

std::string Format(bool value) { return value ? "true" : "false"; }

std::string Format(const std::string& text) { return text; }

std::string Format(const std::vector<std::string>& addresses) {
  return absl::StrJoin(addresses, ",");
}

}  // namespace groupnorm
