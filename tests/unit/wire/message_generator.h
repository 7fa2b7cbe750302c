#ifndef GROUPNORM_TESTS_UNIT_WIRE_MESSAGE_GENERATOR_H_
#define GROUPNORM_TESTS_UNIT_WIRE_MESSAGE_GENERATOR_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace groupnorm {

struct MessageSpec;

/// How a field of a message is written.
struct FieldSpec {
  enum Kind { kInt64, kEnum, kBool, kDouble, kBytes, kVarintList, kMessage };
  std::uint64_t number = 0;
  Kind kind = kInt64;
  const MessageSpec* message = nullptr;  ///< Of a kMessage.
};

struct MessageSpec {
  std::vector<FieldSpec> fields;
};

/// The four messages with tensors, as the contract has them.
const MessageSpec& ForwardRequestSpec();
const MessageSpec& BackwardRequestSpec();
const MessageSpec& ForwardResponseSpec();
const MessageSpec& BackwardResponseSpec();

/// Writes random messages in every form that the wire knows: fields permuted,
/// repeated and in parts; packed, unpacked and mixed lists; padded varints,
/// tags and lengths; enums of more than 32 bits; wrong wire types; unknown
/// fields and groups; about half of them then broken somewhere. The same seed
/// gives the same messages everywhere.
class MessageGenerator {
 public:
  explicit MessageGenerator(std::uint64_t seed) : random_(seed) {}

  std::string Message(const MessageSpec& spec);

  /// A message cut at up to seven random places, borders of empty slices among
  /// them.
  std::vector<std::size_t> Cuts(std::size_t size);

  /// 0 to `bound` - 1.
  std::size_t Below(std::size_t bound) { return random_() % bound; }

 private:
  bool OneIn(std::size_t n) { return Below(n) == 0; }
  std::string Body(const MessageSpec& spec, int depth);
  std::string Field(const FieldSpec& field, int depth);
  std::string List(std::uint64_t number);
  std::string UnknownField(std::uint64_t number, int depth);
  std::string Tag(std::uint64_t number, unsigned wire_type);
  std::string Varint(std::uint64_t value);
  std::string Delimited(std::uint64_t number, const std::string& body);
  std::string Bytes(std::size_t size);
  std::string BrokenField();
  std::uint64_t Value();
  std::uint64_t Number();
  std::string Break(std::string message);

  std::mt19937_64 random_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_WIRE_MESSAGE_GENERATOR_H_
