#include "tests/conformance/manifest.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "absl/strings/str_cat.h"

namespace groupnorm::conformance {

namespace {

using nlohmann::json;

absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError(path.string());
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// A number, or one that JSON cannot write, as a string.
long double ParseNumber(const json& number) {
  if (number.is_number()) return number.get<double>();
  const auto text = number.get<std::string>();
  if (text == "NaN") return std::numeric_limits<long double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<long double>::infinity();
  if (text == "-Infinity") {
    return -std::numeric_limits<long double>::infinity();
  }
  throw std::invalid_argument("not a number: " + text);
}

std::vector<long double> ParseNumbers(const json& numbers) {
  std::vector<long double> parsed;
  for (const json& number : numbers) parsed.push_back(ParseNumber(number));
  return parsed;
}

DataType ParseDataType(const std::string& name) {
  const auto found = std::ranges::find(kDataTypes, name, DataTypeName);
  if (found == kDataTypes.end()) {
    throw std::invalid_argument("not an element type: " + name);
  }
  return *found;
}

ExpectedTensor ParseTensor(const std::string& path, const json& tensor) {
  ExpectedTensor parsed;
  parsed.path = path;
  parsed.shape = tensor.at("shape").get<std::vector<std::int64_t>>();
  parsed.expected.dtype = ParseDataType(tensor.at("dtype"));
  parsed.expected.value = ParseNumbers(tensor.at("values"));
  parsed.expected.bound = ParseNumbers(tensor.at("bounds"));
  if (parsed.expected.value.size() != parsed.expected.bound.size()) {
    throw std::invalid_argument(path + ": as many bounds as values expected");
  }
  return parsed;
}

absl::StatusCode ParseCode(const std::string& name) {
  for (const absl::StatusCode code : {absl::StatusCode::kInvalidArgument,
                                      absl::StatusCode::kResourceExhausted}) {
    if (absl::StatusCodeToString(code) == name) return code;
  }
  throw std::invalid_argument("not a code of a rejection: " + name);
}

Case ParseCase(const json& entry) {
  Case parsed;
  parsed.name = entry.at("name");
  parsed.method = entry.at("method");
  if (entry.contains("tensors")) {
    for (const auto& [path, tensor] : entry.at("tensors").items()) {
      parsed.tensors.push_back(ParseTensor(path, tensor));
    }
    return parsed;
  }
  parsed.code = ParseCode(entry.at("code"));
  parsed.message_prefix = entry.at("message_prefix");
  parsed.message_parts =
      entry.at("message_parts").get<std::vector<std::string>>();
  return parsed;
}

}  // namespace

std::filesystem::path VectorsFolder() { return GROUPNORM_VECTORS_FOLDER; }

absl::StatusOr<std::vector<Case>> LoadCases(
    const std::filesystem::path& folder) {
  const absl::StatusOr<std::string> manifest =
      ReadFile(folder / "manifest.json");
  if (!manifest.ok()) return manifest.status();
  std::vector<Case> cases;
  try {
    // Kept alive by name: `at` returns a reference into it.
    const json parsed = json::parse(*manifest);
    for (const json& entry : parsed.at("cases")) {
      cases.push_back(ParseCase(entry));
    }
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("manifest.json: case ", cases.size(), ": ", error.what()));
  }
  for (Case& loaded : cases) {
    absl::StatusOr<std::string> request =
        ReadFile(folder / "requests" / (loaded.name + ".bin"));
    if (!request.ok()) return request.status();
    loaded.request = *std::move(request);
  }
  return cases;
}

absl::Status CheckStatus(const Case& expected, absl::StatusCode code,
                         const std::string& message) {
  constexpr std::size_t kMaxMessageBytes = 1024;
  const std::string answer =
      absl::StrCat(absl::StatusCodeToString(code), ": ", message);
  if (code != expected.code) {
    return absl::InternalError(
        absl::StrCat("expected ", absl::StatusCodeToString(expected.code),
                     ", got ", answer));
  }
  if (!message.starts_with(expected.message_prefix)) {
    return absl::InternalError(absl::StrCat("expected to begin with '",
                                            expected.message_prefix, "', got ",
                                            answer));
  }
  for (const std::string& part : expected.message_parts) {
    if (message.find(part) == std::string::npos) {
      return absl::InternalError(
          absl::StrCat("expected to contain '", part, "', got ", answer));
    }
  }
  const bool printable =
      std::ranges::all_of(message, [](char c) { return c >= ' ' && c <= '~'; });
  if (!printable || message.size() > kMaxMessageBytes) {
    return absl::InternalError(absl::StrCat(
        "expected at most 1,024 printable characters, got ", answer));
  }
  return absl::OkStatus();
}

}  // namespace groupnorm::conformance
