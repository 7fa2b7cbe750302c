#include "client/cli/files/npy_header.h"

#include <cstddef>
#include <limits>

#include "absl/strings/str_cat.h"

namespace groupnorm::cli {

namespace {

constexpr std::size_t kDataAlignment = 64;

/// Reads the few Python literals that a header is made of. After the first
/// failure everything fails.
class LiteralReader {
 public:
  explicit LiteralReader(const std::string& text) : text_(text) {}

  /// Skips blanks, then takes `expected` if it comes next.
  bool Take(const std::string& expected) {
    SkipBlanks();
    if (text_.compare(position_, expected.size(), expected) != 0) return false;
    position_ += expected.size();
    return true;
  }

  absl::Status Expect(const std::string& expected) {
    return Take(expected) ? absl::OkStatus() : Fault(expected);
  }

  /// A string in either kind of quotes, without escapes.
  absl::StatusOr<std::string> String() {
    const std::string quote = Take("'") ? "'" : Take("\"") ? "\"" : "";
    if (quote.empty()) return Fault("a quoted string");
    const std::size_t end = text_.find(quote, position_);
    if (end == std::string::npos) return Fault("a closing quote");
    std::string value = text_.substr(position_, end - position_);
    position_ = end + 1;
    return value;
  }

  absl::StatusOr<bool> Bool() {
    if (Take("True")) return true;
    if (Take("False")) return false;
    return Fault("True or False");
  }

  absl::StatusOr<std::vector<std::int64_t>> Tuple() {
    std::vector<std::int64_t> values;
    if (absl::Status status = Expect("("); !status.ok()) return status;
    while (!Take(")")) {
      absl::StatusOr<std::int64_t> value = Integer();
      if (!value.ok()) return value.status();
      values.push_back(*value);
      if (!Take(",")) {
        if (absl::Status status = Expect(")"); !status.ok()) return status;
        break;
      }
    }
    return values;
  }

  absl::Status ExpectEnd() {
    SkipBlanks();
    return position_ == text_.size() ? absl::OkStatus() : Fault("its end");
  }

  absl::Status Fault(const std::string& expected) const {
    return absl::InvalidArgumentError(absl::StrCat(
        "header: expected ", expected, " at character ", position_));
  }

 private:
  void SkipBlanks() {
    while (position_ < text_.size() &&
           (text_[position_] == ' ' || text_[position_] == '\n')) {
      ++position_;
    }
  }

  absl::StatusOr<std::int64_t> Integer() {
    SkipBlanks();
    const std::size_t start = position_;
    std::int64_t value = 0;
    while (position_ < text_.size() && text_[position_] >= '0' &&
           text_[position_] <= '9') {
      const int digit = text_[position_] - '0';
      if (value > (std::numeric_limits<std::int64_t>::max() - digit) / 10) {
        return Fault("an extent below 2^63");
      }
      value = value * 10 + digit;
      ++position_;
    }
    if (position_ == start) return Fault("an extent");
    Take("L");  // As Python 2 wrote integers.
    return value;
  }

  const std::string& text_;
  std::size_t position_ = 0;
};

const char* Descr(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat32:
      return "<f4";
    case DataType::kFloat64:
      return "<f8";
    case DataType::kFloat16:
      return "<f2";
    case DataType::kBfloat16:
      break;
  }
  return "<u2";
}

}  // namespace

absl::StatusOr<NpyHeader> ParseNpyHeader(const std::string& text) {
  LiteralReader reader(text);
  NpyHeader header;
  bool has_descr = false, has_order = false, has_shape = false;
  if (absl::Status status = reader.Expect("{"); !status.ok()) return status;
  while (!reader.Take("}")) {
    const absl::StatusOr<std::string> key = reader.String();
    if (!key.ok()) return key.status();
    if (absl::Status status = reader.Expect(":"); !status.ok()) return status;
    absl::Status status;
    const auto read = [&status](auto value, auto& destination) {
      status = value.status();
      if (value.ok()) destination = *std::move(value);
      return true;
    };
    if (*key == "descr") {
      has_descr = read(reader.String(), header.descr);
    } else if (*key == "fortran_order") {
      has_order = read(reader.Bool(), header.fortran_order);
    } else if (*key == "shape") {
      has_shape = read(reader.Tuple(), header.shape);
    } else {
      status = absl::InvalidArgumentError(
          absl::StrCat("header: unknown key '", *key, "'"));
    }
    if (!status.ok()) return status;
    if (!reader.Take(",")) {
      if (status = reader.Expect("}"); !status.ok()) return status;
      break;
    }
  }
  if (absl::Status status = reader.ExpectEnd(); !status.ok()) return status;
  if (!has_descr || !has_order || !has_shape) {
    return absl::InvalidArgumentError(
        "header: expected the keys descr, fortran_order and shape");
  }
  return header;
}

std::string NpyPreamble(DataType dtype, const Shape& shape) {
  std::string dictionary = absl::StrCat(
      "{'descr': '", Descr(dtype), "', 'fortran_order': False, 'shape': (");
  for (int axis = 0; axis < shape.rank(); ++axis) {
    // A tuple of one needs its comma.
    absl::StrAppend(&dictionary, axis > 0 ? " " : "", shape.extent(axis),
                    axis + 1 < shape.rank() || shape.rank() == 1 ? "," : "");
  }
  absl::StrAppend(&dictionary, "), }");
  constexpr std::size_t kFixedBytes = 10;  // Magic, version, header length.
  const std::size_t used = kFixedBytes + dictionary.size() + 1;
  dictionary.append((kDataAlignment - used % kDataAlignment) % kDataAlignment,
                    ' ');
  dictionary += '\n';
  std::string preamble("\x93NUMPY\x01\x00", 8);
  preamble += static_cast<char>(dictionary.size() & 0xff);
  preamble += static_cast<char>(dictionary.size() >> 8);
  return preamble + dictionary;
}

}  // namespace groupnorm::cli
