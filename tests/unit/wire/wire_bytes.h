#ifndef GROUPNORM_TESTS_UNIT_WIRE_WIRE_BYTES_H_
#define GROUPNORM_TESTS_UNIT_WIRE_WIRE_BYTES_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "wire/message_slices.h"

/// Wire bytes written by hand: every form that a serializer never emits can be
/// written too. Nothing here shares code with the codec or with protobuf.
namespace groupnorm::wire_bytes {

/// A varint; `padding` bytes longer than it has to be.
std::string Varint(std::uint64_t value, int padding = 0);

/// Field number and wire type, whether they exist or not.
std::string Tag(std::uint64_t field, unsigned wire_type, int padding = 0);

std::string VarintField(std::uint64_t field, std::uint64_t value);
std::string Fixed32Field(std::uint64_t field, std::uint32_t value);
std::string Fixed64Field(std::uint64_t field, std::uint64_t value);
std::string DoubleField(std::uint64_t field, double value);
std::string Delimited(std::uint64_t field, const std::string& body);
std::string Group(std::uint64_t field, const std::string& body);

/// `depth` groups within each other.
std::string NestedGroups(std::uint64_t field, int depth);

std::string Packed(std::uint64_t field,
                   std::initializer_list<std::int64_t> values);

/// The body of a Tensor with `data_bytes` zeros as its data.
std::string Tensor(std::uint64_t dtype,
                   std::initializer_list<std::int64_t> extents,
                   std::size_t data_bytes);

/// The bytes as a message in slices of `slice_size`.
MessageSlices Sliced(const std::string& bytes, std::size_t slice_size);

/// The bytes as a message of one slice.
MessageSlices Whole(const std::string& bytes);

/// The bytes as a message cut at these offsets, which must not decrease: equal
/// ones make empty slices.
MessageSlices CutAt(const std::string& bytes,
                    const std::vector<std::size_t>& offsets);

}  // namespace groupnorm::wire_bytes

#endif  // GROUPNORM_TESTS_UNIT_WIRE_WIRE_BYTES_H_
