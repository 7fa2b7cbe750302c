#include "client/cli/files/safetensors.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/files/safetensors_header.h"

namespace groupnorm::cli {

namespace {

// The format allows 100 MB. This holds the names of 100,000 tensors, and bounds
// what a file of nothing but header costs.
constexpr std::size_t kMaxHeaderBytes = std::size_t{16} << 20;
constexpr std::size_t kLengthBytes = 8;

/// The first few names, for messages.
std::string NamesOf(const std::vector<SafetensorsEntry>& entries) {
  constexpr std::size_t kMaxNames = 5;
  std::string names;
  for (std::size_t i = 0; i < std::min(entries.size(), kMaxNames); ++i) {
    absl::StrAppend(&names, i > 0 ? ", " : "", QuotedName(entries[i].name));
  }
  if (entries.size() > kMaxNames) {
    absl::StrAppend(&names, ", ... (", entries.size(), " in all)");
  }
  return names.empty() ? "none" : names;
}

absl::StatusOr<SafetensorsEntry> Find(
    const InputFile& file, const std::vector<SafetensorsEntry>& entries,
    const std::optional<std::string>& name) {
  if (!name.has_value()) {
    if (entries.size() == 1) return entries.front();
    return file.Malformed(absl::StrCat(
        entries.size(), " tensors, expected one, or its name as in ",
        "FILE.safetensors:NAME; there are ", NamesOf(entries)));
  }
  const auto found = std::find_if(
      entries.begin(), entries.end(),
      [&](const SafetensorsEntry& entry) { return entry.name == *name; });
  if (found != entries.end()) return *found;
  return file.Malformed(absl::StrCat("no tensor ", QuotedName(*name),
                                     "; there are ", NamesOf(entries)));
}

}  // namespace

absl::StatusOr<OwnedTensor> ReadSafetensors(
    InputFile& file, const std::optional<std::string>& name) {
  if (file.remaining_bytes() < kLengthBytes) {
    return file.Malformed("not a .safetensors file: shorter than 8 bytes");
  }
  const absl::StatusOr<std::string> header =
      file.ReadHeader(kLengthBytes, kMaxHeaderBytes);
  if (!header.ok()) return header.status();
  const absl::StatusOr<std::vector<SafetensorsEntry>> entries =
      ParseSafetensorsHeader(*header, file.remaining_bytes());
  if (!entries.ok()) {
    return file.Malformed(std::string(entries.status().message()));
  }
  const absl::StatusOr<SafetensorsEntry> entry = Find(file, *entries, name);
  if (!entry.ok()) return entry.status();
  const std::string what =
      absl::StrCat("tensor ", QuotedName(entry->name), ": ");
  const auto* const dtype = std::find_if(
      kDataTypes.begin(), kDataTypes.end(), [&](DataType candidate) {
        return SafetensorsDtype(candidate) == entry->dtype;
      });
  if (dtype == kDataTypes.end()) {
    return file.Malformed(absl::StrCat(what, "dtype ", QuotedName(entry->dtype),
                                       ", expected F32, F64, F16 or BF16"));
  }
  if (absl::Status status = file.Skip(entry->begin); !status.ok()) {
    return status;
  }
  return file.ReadElements(what, *dtype, entry->shape,
                           entry->end - entry->begin);
}

}  // namespace groupnorm::cli
