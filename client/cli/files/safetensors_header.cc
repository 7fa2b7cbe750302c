#include "client/cli/files/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace groupnorm::cli {

namespace {

using nlohmann::json;

constexpr char kMetadata[] = "__metadata__";
constexpr std::size_t kDataAlignment = 8;
constexpr std::size_t kLengthBytes = 8;

absl::Status Fault(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("header: ", what));
}

absl::Status Fault(const SafetensorsEntry& entry, const std::string& what) {
  return absl::InvalidArgumentError(
      absl::StrCat("tensor ", QuotedName(entry.name), ": ", what));
}

/// A value as JSON, for messages.
std::string Text(const json& value) {
  constexpr std::size_t kMaxText = 60;
  std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true,
                                json::error_handler_t::replace);
  if (text.size() <= kMaxText) return text;
  // Half an escape would be another text.
  std::size_t end = 0;
  for (std::size_t next = 0; next <= kMaxText;) {
    end = next;
    next += text[end] != '\\' ? 1 : text[end + 1] == 'u' ? 6 : 2;
  }
  return absl::StrCat(text.substr(0, end), "...");
}

/// What ends the parsing: the parser knows no other way, and goes on where a
/// value is refused, in quadratic time.
struct Refusal {
  std::string fault;
};

/// Sees the header as it is parsed: what the parsed value does not show, or
/// what would make it needlessly large.
class HeaderWatch {
 public:
  /// Throws Refusal.
  void operator()(int depth, json::parse_event_t event, const json& parsed) {
    const bool starts = event == json::parse_event_t::object_start;
    if (depth > (starts ? kMaxObjectDepth : kMaxDepth)) {
      throw Refusal{"nested deeper than the entries of a tensor are"};
    }
    if (starts) keys_.emplace_back();
    if (event == json::parse_event_t::object_end) keys_.pop_back();
    if (event == json::parse_event_t::key &&
        !keys_.back().insert(parsed.get<std::string>()).second) {
      throw Refusal{absl::StrCat("key ", QuotedName(parsed.get<std::string>()),
                                 ", expected once, comes twice")};
    }
  }

 private:
  // The header, a tensor's entry, its shape, an extent.
  static constexpr int kMaxDepth = 3;
  static constexpr int kMaxObjectDepth = 1;

  std::vector<std::set<std::string>> keys_;  // Of each object that is open.
};

absl::StatusOr<json> ParseJson(const std::string& text) {
  // The parser would skip a byte order mark, and end at a NUL.
  if (!absl::StartsWith(text, "{")) {
    constexpr std::size_t kMaxStart = 8;
    return Fault(absl::StrCat("begins with ",
                              QuotedName(text.substr(0, kMaxStart)),
                              ", expected { and an object of tensors"));
  }
  if (const std::size_t nul = text.find('\0'); nul != std::string::npos) {
    return Fault(absl::StrCat("no JSON at byte ", nul + 1));
  }
  HeaderWatch watch;
  json parsed;
  try {
    parsed = json::parse(text, [&watch](int depth, json::parse_event_t event,
                                        const json& value) {
      watch(depth, event, value);
      return true;
    });
  } catch (const Refusal& refusal) {
    return Fault(refusal.fault);
  } catch (const json::exception& error) {
    const auto* const parse_error =
        dynamic_cast<const json::parse_error*>(&error);
    return Fault(parse_error != nullptr
                     ? absl::StrCat("no JSON at byte ", parse_error->byte)
                     : "no JSON");
  }
  return parsed;
}

absl::Status CheckMetadata(const json& metadata) {
  const bool strings =
      metadata.is_object() &&
      std::all_of(metadata.begin(), metadata.end(),
                  [](const json& value) { return value.is_string(); });
  return strings ? absl::OkStatus()
                 : Fault(absl::StrCat(kMetadata, " ", Text(metadata),
                                      ", expected an object of strings"));
}

/// Whole numbers of 0 or more; false where something else is among them.
template <typename Number>
bool ReadNumbers(const json& array, std::vector<Number>& numbers) {
  if (!array.is_array()) return false;
  for (const json& value : array) {
    if (!value.is_number_unsigned()) return false;
    const auto number = value.get<std::uint64_t>();
    if (number > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
      return false;
    }
    numbers.push_back(static_cast<Number>(number));
  }
  return true;
}

absl::StatusOr<SafetensorsEntry> ParseEntry(const std::string& name,
                                            const json& value) {
  SafetensorsEntry entry{.name = name, .dtype = "", .shape = {}};
  for (const char* const key : {"dtype", "shape", "data_offsets"}) {
    if (!value.is_object() || !value.contains(key)) {
      return Fault(entry, absl::StrCat(Text(value),
                                       ", expected an object with dtype, shape "
                                       "and data_offsets"));
    }
  }
  const json& dtype = value["dtype"];
  if (!dtype.is_string()) {
    return Fault(entry,
                 absl::StrCat("dtype ", Text(dtype), ", expected a text"));
  }
  entry.dtype = dtype.get<std::string>();
  if (!ReadNumbers(value["shape"], entry.shape)) {
    return Fault(entry, absl::StrCat("shape ", Text(value["shape"]),
                                     ", expected whole numbers of 0 or more"));
  }
  std::vector<std::size_t> offsets;
  if (!ReadNumbers(value["data_offsets"], offsets) || offsets.size() != 2 ||
      offsets[0] > offsets[1]) {
    return Fault(entry,
                 absl::StrCat("data_offsets ", Text(value["data_offsets"]),
                              ", expected a begin and an end, two whole "
                              "numbers of 0 or more"));
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];
  return entry;
}

/// Sorts the tensors by their bytes, which have to follow each other and to be
/// all that there are.
absl::Status CheckOffsets(std::vector<SafetensorsEntry>& entries,
                          std::size_t data_bytes) {
  std::sort(entries.begin(), entries.end(),
            [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
              return std::tie(a.begin, a.end) < std::tie(b.begin, b.end);
            });
  std::size_t end = 0;
  const SafetensorsEntry* before = nullptr;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != end) {
      return Fault(
          entry,
          absl::StrCat("data_offsets begin at ", entry.begin, ", expected ",
                       end, ", where ",
                       before == nullptr
                           ? "the data begin"
                           : absl::StrCat("tensor ", QuotedName(before->name),
                                          " ends")));
    }
    if (entry.end > data_bytes) {
      return Fault(entry, absl::StrCat("data_offsets end at ", entry.end,
                                       ", expected at most the ", data_bytes,
                                       " bytes that the file has"));
    }
    end = entry.end;
    before = &entry;
  }
  if (end == data_bytes) return absl::OkStatus();
  return Fault(absl::StrCat("its tensors end at byte ", end,
                            " of the data, expected all of the ", data_bytes,
                            " bytes that the file has"));
}

}  // namespace

absl::StatusOr<std::vector<SafetensorsEntry>> ParseSafetensorsHeader(
    const std::string& text, std::size_t data_bytes) {
  const absl::StatusOr<json> header = ParseJson(text);
  if (!header.ok()) return header.status();
  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, value] : header->items()) {
    if (name == kMetadata) {
      if (absl::Status status = CheckMetadata(value); !status.ok()) {
        return status;
      }
      continue;
    }
    absl::StatusOr<SafetensorsEntry> entry = ParseEntry(name, value);
    if (!entry.ok()) return entry.status();
    entries.push_back(*std::move(entry));
  }
  if (absl::Status status = CheckOffsets(entries, data_bytes); !status.ok()) {
    return status;
  }
  return entries;
}

std::string SafetensorsDtype(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat32:
      return "F32";
    case DataType::kFloat64:
      return "F64";
    case DataType::kFloat16:
      return "F16";
    case DataType::kBfloat16:
      break;
  }
  return "BF16";
}

std::string QuotedName(const std::string& name) {
  constexpr std::size_t kMaxName = 100;
  return absl::StrCat("\"", absl::CEscape(name.substr(0, kMaxName)),
                      name.size() > kMaxName ? "..." : "", "\"");
}

bool IsSafetensorsName(const std::string& name) {
  // What is no UTF-8 does not survive being written.
  return name != kMetadata &&
         json::parse(json(name).dump(-1, ' ', /*ensure_ascii=*/false,
                                     json::error_handler_t::replace)) == name;
}

std::string SafetensorsPreamble(const std::string& name, DataType dtype,
                                const Shape& shape) {
  const std::size_t bytes = TensorView{dtype, shape, nullptr}.size_bytes();
  const nlohmann::ordered_json header = {
      {name,
       {{"dtype", SafetensorsDtype(dtype)},
        {"shape", std::vector<std::int64_t>(shape.extents().begin(),
                                            shape.extents().end())},
        {"data_offsets", std::vector<std::size_t>{0, bytes}}}}};
  std::string text = header.dump();
  text.append((kDataAlignment - text.size() % kDataAlignment) % kDataAlignment,
              ' ');
  std::string preamble;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    preamble += static_cast<char>(text.size() >> (8 * i) & 0xff);
  }
  return preamble + text;
}

}  // namespace groupnorm::cli
