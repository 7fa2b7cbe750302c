#ifndef GROUPNORM_WIRE_WIRE_READER_H_
#define GROUPNORM_WIRE_WIRE_READER_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "wire/message_slices.h"
#include "wire/tensor_payload.h"

namespace groupnorm {

/// How the value of a field is written. 6 and 7 do not exist.
enum class WireType : std::uint32_t {
  kVarint = 0,
  kFixed64 = 1,
  kLengthDelimited = 2,
  kStartGroup = 3,
  kEndGroup = 4,
  kFixed32 = 5,
};

/// Field number and wire type as they stand in front of a value.
constexpr std::uint32_t WireTag(std::uint32_t field, WireType type) {
  return field << 3 | static_cast<std::uint32_t>(type);
}

/// A cursor over an encoded message that accepts what protobuf 3.21's C++
/// parser accepts and refuses what it refuses.
///
/// A failure is kept: from then on NextTag() says that there is nothing more,
/// and every other read returns zero, so that only the end of a parse has to
/// look for it. Takes constant memory and time linear in the bytes.
class WireReader {
 public:
  /// `message` must outlive the reader.
  explicit WireReader(const MessageSlices& message);

  /// The tag of the next field of the message that is being read; none at its
  /// end. Never that of the end of a group, nor field 0, nor one of a wire type
  /// that does not exist: those are failures.
  std::optional<std::uint32_t> NextTag();

  /// Reads a value, whose tag has been read and says that it is of that kind.
  std::uint64_t ReadVarint();
  std::uint64_t ReadFixed64();
  PayloadRange ReadBytes();

  /// Calls `add` with every value of a varint list's field, which may have been
  /// written packed or alone.
  template <typename Add>
  void ReadVarints(std::uint32_t tag, Add add) {
    if (tag % 8 == static_cast<std::uint32_t>(WireType::kVarint)) {
      add(ReadVarint());
      return;
    }
    const std::size_t outer_end = EnterLimit();
    while (position_ < end_) {
      const std::uint64_t value = ReadVarint();
      if (ok()) add(value);
    }
    LeaveLimit(outer_end);
  }

  /// Reads a sub-message: calls `read_field` with each of its tags, which has
  /// to read or to skip the value.
  template <typename ReadField>
  void ReadMessage(ReadField read_field) {
    const std::size_t outer_end = EnterLimit();
    CheckDepth(++depth_);
    while (const std::optional<std::uint32_t> tag = NextTag()) read_field(*tag);
    --depth_;
    LeaveLimit(outer_end);
  }

  /// Skips the value of a field that the message does not know.
  void Skip(std::uint32_t tag);

  bool ok() const { return !failure_.has_value(); }

  /// Where the tag, length or value starts that could not be read; none as long
  /// as all is well.
  std::optional<std::size_t> failure() const { return failure_; }

 private:
  std::uint32_t ReadTag();
  std::uint64_t ReadVarint(int max_bytes);
  std::size_t ReadLength();
  void SkipBytes(std::size_t count);
  void SkipGroup(std::uint32_t start_tag);
  std::byte NextByte();
  void NextSlice();

  // A limit ends a sub-message or a packed list; entering returns what ends the
  // enclosing message, for leaving.
  std::size_t EnterLimit();
  void LeaveLimit(std::size_t outer_end);

  void CheckDepth(int depth);
  void Fail(std::size_t position);

  const MessageSlices& message_;
  std::size_t next_slice_ = 0;
  const std::byte* cursor_ = nullptr;
  const std::byte* slice_end_ = nullptr;
  std::size_t position_ = 0;  // Offset of the cursor in the message.
  std::size_t end_ = 0;       // Where the innermost message or list ends.
  std::size_t last_tag_ = 0;  // Offset of the last tag.
  int depth_ = 0;             // Messages open around this one.
  std::optional<std::size_t> failure_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_WIRE_WIRE_READER_H_
