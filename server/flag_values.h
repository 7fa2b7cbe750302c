#ifndef GROUPNORM_SERVER_FLAG_VALUES_H_
#define GROUPNORM_SERVER_FLAG_VALUES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

/// The values of settings as texts: of flags, of variables, and in files.
namespace groupnorm {

/// Ends the parsing with `flag: 'value', expected ...`; ParseFlags() returns
/// that. `flag` is who gave the value: a flag, a variable or a line of a file.
[[noreturn]] void Refuse(const std::string& flag, const std::string& value,
                         const char* expected);

// Each calls Refuse() for what is no such value.

int ParseNumber(const std::string& flag, const std::string& value);

/// Bytes: `12`, or `12KiB`, `12MiB`, `12GiB`.
std::int64_t ParseSize(const std::string& flag, const std::string& value);

/// As in `1m30s` or `inf`; a bare number is refused.
absl::Duration ParseTimeout(const std::string& flag, const std::string& value);

bool ParseBool(const std::string& flag, const std::string& value);

std::string ParseLogLevel(const std::string& flag, const std::string& value);

// What those parse, again as text.

std::string Format(int number);
std::string Format(std::int64_t bytes);
std::string Format(absl::Duration timeout);
std::string Format(bool value);
std::string Format(const std::string& text);
std::string Format(const std::vector<std::string>& addresses);

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_FLAG_VALUES_H_
