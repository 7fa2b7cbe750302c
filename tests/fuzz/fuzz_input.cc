#include "tests/fuzz/fuzz_input.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/unit/wire/wire_bytes.h"

namespace groupnorm::fuzz {

namespace {

constexpr std::size_t kMaxTextBytes = 1024;

// Takes bytes from the end; zeros where there are none left.
class Tail {
 public:
  Tail(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

  std::uint8_t Byte() { return size_ == 0 ? 0 : data_[--size_]; }
  std::size_t left() const { return size_; }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

}  // namespace

FuzzInput::FuzzInput(const std::uint8_t* data, std::size_t size) {
  Tail tail(data, size);
  type = tail.Byte();
  order = tail.Byte();
  cuts.resize(tail.Byte() % 8);
  for (std::size_t& cut : cuts) {
    cut = std::size_t{tail.Byte()} << 8;
    cut |= tail.Byte();
  }
  message.assign(reinterpret_cast<const char*>(data), tail.left());
  for (std::size_t& cut : cuts) cut %= message.size() + 1;
  std::sort(cuts.begin(), cuts.end());
}

MessageSlices FuzzInput::whole() const { return wire_bytes::Whole(message); }

MessageSlices FuzzInput::sliced() const {
  return wire_bytes::CutAt(message, cuts);
}

void Require(bool holds, std::string_view property) {
  if (holds) return;
  std::fprintf(stderr, "Does not hold: %.*s\n",
               static_cast<int>(property.size()), property.data());
  std::abort();
}

void RequireNone(const std::optional<std::string>& difference,
                 std::string_view property) {
  if (difference.has_value()) std::fprintf(stderr, "%s\n", difference->c_str());
  Require(!difference.has_value(), property);
}

void RequireSoundText(std::string_view text) {
  Require(text.size() <= kMaxTextBytes, "a text has at most 1,024 bytes");
  Require(std::all_of(text.begin(), text.end(),
                      [](char c) { return c >= ' ' && c <= '~'; }),
          "a text is printable ASCII");
}

}  // namespace groupnorm::fuzz
