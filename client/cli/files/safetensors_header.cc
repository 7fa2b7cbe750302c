#include "client/cli/files/safetensors_header.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/escaping.h"
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
  const std::string text = value.dump(-1, ' ', /*ensure_ascii=*/true,
                                      json::error_handler_t::replace);
  return text.size() <= kMaxText
             ? text
             : absl::StrCat(text.substr(0, kMaxText), "...");
}

/// Sees the header as it is parsed: what the parsed value does not show, or
/// what would make it needlessly large.
class HeaderWatch {
 public:
  bool operator()(int depth, json::parse_event_t event, const json& parsed) {
    if (event == json::parse_event_t::object_start) keys_.emplace_back();
    if (event == json::parse_event_t::object_end) keys_.pop_back();
    if (event == json::parse_event_t::key && depth <= kMaxDepth &&
        !keys_.back().insert(parsed.get<std::string>()).second) {
      Note(absl::StrCat("key ", QuotedName(parsed.get<std::string>()),
                        ", expected once, comes twice"));
    }
    if (depth <= kMaxDepth) return true;
    Note("nested deeper than the entries of a tensor are");
    return false;
  }

  const std::string& fault() const { return fault_; }

 private:
  // The header, a tensor's entry, its shape, an extent.
  static constexpr int kMaxDepth = 3;

  void Note(const std::string& fault) {
    if (fault_.empty()) fault_ = fault;
  }

  std::vector<std::set<std::string>> keys_;  // Of each object that is open.
  std::string fault_;
};

absl::StatusOr<json> ParseJson(const std::string& text) {
  HeaderWatch watch;
  json parsed;
  try {
    parsed = json::parse(text, [&watch](int depth, json::parse_event_t event,
                                        const json& value) {
      return watch(depth, event, value);
    });
  } catch (const json::exception& error) {
    const auto* const parse_error =
        dynamic_cast<const json::parse_error*>(&error);
    return Fault(parse_error != nullptr
                     ? absl::StrCat("no JSON at byte ", parse_error->byte)
                     : "no JSON");
  }
  if (!watch.fault().empty()) return Fault(watch.fault());
  if (!parsed.is_object()) {
    return Fault(absl::StrCat(Text(parsed), ", expected an object of tensors"));
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
  return absl::StrCat("\"", absl::Utf8SafeCEscape(name.substr(0, kMaxName)),
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
