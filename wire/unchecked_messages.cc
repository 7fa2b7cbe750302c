#include "wire/unchecked_messages.h"

#include <bit>

#include "wire/message_slices.h"
#include "wire/wire_reader.h"

namespace groupnorm {

namespace {

// The tags of the fields that the messages have: any other one, a known number
// with another wire type included, is skipped.
constexpr std::uint32_t Varint(std::uint32_t field) {
  return WireTag(field, WireType::kVarint);
}
constexpr std::uint32_t Fixed64(std::uint32_t field) {
  return WireTag(field, WireType::kFixed64);
}
constexpr std::uint32_t Delimited(std::uint32_t field) {
  return WireTag(field, WireType::kLengthDelimited);
}

// Enums keep the lower 32 bits, as protobuf does.
std::int32_t ReadEnum(WireReader& reader) {
  return static_cast<std::int32_t>(reader.ReadVarint());
}

bool ReadBool(WireReader& reader) { return reader.ReadVarint() != 0; }

void Read(WireReader& reader, UncheckedTensor& tensor) {
  reader.ReadMessage([&](std::uint32_t tag) {
    switch (tag) {
      case Varint(1):
        tensor.dtype = ReadEnum(reader);
        break;
      case Varint(2):
      case Delimited(2):
        reader.ReadVarints(tag, [&tensor](std::uint64_t extent) {
          if (tensor.rank < tensor.first_extents.size()) {
            tensor.first_extents[tensor.rank] =
                static_cast<std::int64_t>(extent);
          }
          ++tensor.rank;
        });
        break;
      case Delimited(15):
        tensor.data = reader.ReadBytes();
        break;
      default:
        reader.Skip(tag);
    }
  });
}

void Read(WireReader& reader, UncheckedConfig& config) {
  reader.ReadMessage([&](std::uint32_t tag) {
    switch (tag) {
      case Varint(1):
        config.num_groups = static_cast<std::int64_t>(reader.ReadVarint());
        break;
      case Fixed64(2):
        config.epsilon = std::bit_cast<double>(reader.ReadFixed64());
        break;
      case Varint(3):
        config.layout = ReadEnum(reader);
        break;
      default:
        reader.Skip(tag);
    }
  });
}

void Read(WireReader& reader, UncheckedStatistics& statistics);

// A sub-message that occurs again is merged into what is there.
template <typename T>
void Read(WireReader& reader, std::optional<T>& value) {
  if (!value.has_value()) value.emplace();
  Read(reader, *value);
}

void Read(WireReader& reader, UncheckedStatistics& statistics) {
  reader.ReadMessage([&](std::uint32_t tag) {
    switch (tag) {
      case Delimited(1):
        Read(reader, statistics.mean);
        break;
      case Delimited(2):
        Read(reader, statistics.rstd);
        break;
      default:
        reader.Skip(tag);
    }
  });
}

void Add(std::uint64_t value, UncheckedGradients& gradients) {
  ++gradients.count;
  switch (const auto gradient = static_cast<std::int32_t>(value)) {
    case 1:
      gradients.input = true;
      break;
    case 2:
      gradients.weight = true;
      break;
    case 3:
      gradients.bias = true;
      break;
    default:
      if (!gradients.first_unknown) gradients.first_unknown = gradient;
  }
}

void ReadField(WireReader& reader, std::uint32_t tag,
               UncheckedForwardRequest& request) {
  switch (tag) {
    case Delimited(1):
      return Read(reader, request.config);
    case Delimited(2):
      return Read(reader, request.weight);
    case Delimited(3):
      return Read(reader, request.bias);
    case Delimited(4):
      return Read(reader, request.statistics);
    case Delimited(15):
      return Read(reader, request.input);
    default:
      return reader.Skip(tag);
  }
}

void ReadField(WireReader& reader, std::uint32_t tag,
               UncheckedBackwardRequest& request) {
  switch (tag) {
    case Delimited(1):
      return Read(reader, request.config);
    case Delimited(2):
      return Read(reader, request.weight);
    case Delimited(3):
      return Read(reader, request.statistics);
    case Varint(4):
    case Delimited(4):
      return reader.ReadVarints(tag, [&request](std::uint64_t value) {
        Add(value, request.gradients);
      });
    case Varint(5):
      request.frozen_statistics = ReadBool(reader);
      return;
    case Varint(6):
      request.per_sample_gradients = ReadBool(reader);
      return;
    case Delimited(14):
      return Read(reader, request.grad_output);
    case Delimited(15):
      return Read(reader, request.input);
    default:
      return reader.Skip(tag);
  }
}

void ReadField(WireReader& reader, std::uint32_t tag,
               UncheckedForwardResponse& response) {
  switch (tag) {
    case Delimited(1):
      return Read(reader, response.statistics);
    case Delimited(15):
      return Read(reader, response.output);
    default:
      return reader.Skip(tag);
  }
}

void ReadField(WireReader& reader, std::uint32_t tag,
               UncheckedBackwardResponse& response) {
  switch (tag) {
    case Delimited(1):
      return Read(reader, response.grad_weight);
    case Delimited(2):
      return Read(reader, response.grad_bias);
    case Delimited(15):
      return Read(reader, response.grad_input);
    default:
      return reader.Skip(tag);
  }
}

template <typename Message>
std::optional<std::size_t> ReadWhole(const MessageSlices& message,
                                     Message& to) {
  WireReader reader(message);
  while (const std::optional<std::uint32_t> tag = reader.NextTag()) {
    ReadField(reader, *tag, to);
  }
  return reader.failure();
}

}  // namespace

std::optional<std::size_t> ReadMessage(const MessageSlices& message,
                                       UncheckedForwardRequest& to) {
  return ReadWhole(message, to);
}

std::optional<std::size_t> ReadMessage(const MessageSlices& message,
                                       UncheckedBackwardRequest& to) {
  return ReadWhole(message, to);
}

std::optional<std::size_t> ReadMessage(const MessageSlices& message,
                                       UncheckedForwardResponse& to) {
  return ReadWhole(message, to);
}

std::optional<std::size_t> ReadMessage(const MessageSlices& message,
                                       UncheckedBackwardResponse& to) {
  return ReadWhole(message, to);
}

}  // namespace groupnorm
