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

absl::StatusOr<std::vector<SafetensorsEntry>> ReadEntries(InputFile& file) {
  if (file.remaining_bytes() < kLengthBytes) {
    return file.Malformed("not a .safetensors file: shorter than 8 bytes");
  }
  const absl::StatusOr<std::string> header =
      file.ReadHeader(kLengthBytes, kMaxHeaderBytes);
  if (!header.ok()) return header.status();
  absl::StatusOr<std::vector<SafetensorsEntry>> entries =
      ParseSafetensorsHeader(*header, file.remaining_bytes());
  if (!entries.ok()) {
    return file.Malformed(std::string(entries.status().message()));
  }
  return entries;
}

/// Whether a file begins as one of this format does, be it whole or not.
absl::StatusOr<bool> LooksLikeSafetensors(const std::string& path) {
  absl::StatusOr<InputFile> file = InputFile::Open(path);
  if (!file.ok()) return file.status();
  if (file->remaining_bytes() <= kLengthBytes) return false;
  const absl::StatusOr<std::string> start =
      file->ReadPreamble(kLengthBytes + 1);
  if (!start.ok()) return start.status();
  return start->back() == '{';
}

}  // namespace

absl::Status CheckReplaceable(const std::string& path,
                              const std::optional<std::string>& name) {
  const absl::StatusOr<bool> looks = LooksLikeSafetensors(path);
  if (!looks.ok() || !*looks) return looks.status();
  absl::StatusOr<InputFile> file = InputFile::Open(path);
  if (!file.ok()) return file.status();
  const absl::StatusOr<std::vector<SafetensorsEntry>> entries =
      ReadEntries(*file);
  if (!entries.ok()) return entries.status();
  if (entries->size() > 1) {
    return file->Malformed(absl::StrCat("holds ", entries->size(),
                                        " tensors, and would be replaced by "
                                        "one"));
  }
  if (!entries->empty() &&
      name.value_or(entries->front().name) != entries->front().name) {
    return file->Malformed(
        absl::StrCat("holds tensor ", QuotedName(entries->front().name),
                     ", and would be replaced by ", QuotedName(*name)));
  }
  return absl::OkStatus();
}

absl::StatusOr<OwnedTensor> ReadSafetensors(
    InputFile& file, const std::optional<std::string>& name) {
  const absl::StatusOr<std::vector<SafetensorsEntry>> entries =
      ReadEntries(file);
  if (!entries.ok()) return entries.status();
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
