#include "wire/client_messages.h"

#include <grpcpp/support/slice.h>

#include <bit>
#include <string>

#include "absl/strings/str_cat.h"
#include "wire/message_slices.h"
#include "wire/message_writer.h"
#include "wire/tensor_checks.h"
#include "wire/unchecked_messages.h"

namespace groupnorm {

namespace {

template <typename Fields>
std::int64_t ConfigBytes(const Fields& fields) {
  constexpr std::int64_t kFixed64FieldBytes = 9;
  return VarintFieldBytes(static_cast<std::uint64_t>(fields.num_groups)) +
         (fields.epsilon.has_value() ? kFixed64FieldBytes : 0) +
         VarintFieldBytes(static_cast<std::uint64_t>(fields.layout));
}

template <typename Fields>
void WriteConfig(const Fields& fields, MessageWriter& writer) {
  writer.DelimitedHeader(1, ConfigBytes(fields));
  writer.VarintField(1, static_cast<std::uint64_t>(fields.num_groups));
  if (fields.epsilon.has_value()) {
    writer.Fixed64Field(2, std::bit_cast<std::uint64_t>(*fields.epsilon));
  }
  writer.VarintField(3, static_cast<std::uint64_t>(fields.layout));
}

template <typename Fields>
bool HasStatistics(const Fields& fields) {
  return fields.mean.has_value() || fields.rstd.has_value();
}

template <typename Fields>
std::int64_t StatisticsBytes(const Fields& fields) {
  return SaturatingSum(TensorFieldBytes(fields.mean),
                       TensorFieldBytes(fields.rstd));
}

template <typename Fields>
std::int64_t StatisticsFieldBytes(const Fields& fields) {
  return HasStatistics(fields) ? DelimitedFieldBytes(StatisticsBytes(fields))
                               : 0;
}

template <typename Fields>
void WriteStatistics(std::uint32_t field, const Fields& fields,
                     MessageWriter& writer) {
  if (!HasStatistics(fields)) return;
  writer.DelimitedHeader(field, StatisticsBytes(fields));
  writer.TensorField(1, fields.mean);
  writer.TensorField(2, fields.rstd);
}

// Gradients are numbers below 128, so one byte each in a packed list.
std::int64_t GradientsBytes(const BackwardRequestFields& fields) {
  return int{fields.want_grad_input} + int{fields.want_grad_weight} +
         int{fields.want_grad_bias};
}

// Writes what `write` writes, of `bytes` bytes, to a message of one slice.
template <typename Write>
grpc::ByteBuffer MessageOf(std::int64_t bytes, Write write) {
  grpc::Slice slice(static_cast<std::size_t>(bytes));
  MessageWriter writer(const_cast<std::byte*>(
      reinterpret_cast<const std::byte*>(slice.begin())));
  write(writer);
  return grpc::ByteBuffer(&slice, 1);
}

// What a response lacks or holds is the server's fault.
absl::Status ServerFault(const absl::Status& status) {
  return absl::InternalError(status.message());
}

absl::StatusOr<ResponseTensor> CheckStatistic(
    const std::string& path, const std::optional<UncheckedTensor>& unchecked) {
  absl::StatusOr<ResponseTensor> tensor = CheckTensor(path, unchecked);
  if (tensor.ok() && tensor->dtype != DataType::kFloat64) {
    return Rejection(path + ".dtype", std::string(DataTypeName(tensor->dtype)),
                     "FLOAT64");
  }
  return tensor;
}

absl::Status CheckGradient(const std::string& path,
                           const std::optional<UncheckedTensor>& unchecked,
                           std::optional<ResponseTensor>& checked) {
  if (!unchecked.has_value()) return absl::OkStatus();
  absl::StatusOr<ResponseTensor> tensor = CheckTensor(path, unchecked);
  if (!tensor.ok()) return tensor.status();
  checked = *tensor;
  return absl::OkStatus();
}

}  // namespace

std::int64_t EncodedBytes(const ForwardRequestFields& fields) {
  std::int64_t bytes = DelimitedFieldBytes(ConfigBytes(fields));
  bytes = SaturatingSum(bytes, TensorFieldBytes(fields.weight));
  bytes = SaturatingSum(bytes, TensorFieldBytes(fields.bias));
  bytes = SaturatingSum(bytes, StatisticsFieldBytes(fields));
  return SaturatingSum(bytes, TensorFieldBytes(fields.input));
}

std::int64_t EncodedBytes(const BackwardRequestFields& fields) {
  std::int64_t bytes = DelimitedFieldBytes(ConfigBytes(fields));
  bytes = SaturatingSum(bytes, TensorFieldBytes(fields.weight));
  bytes = SaturatingSum(bytes, StatisticsFieldBytes(fields));
  if (const std::int64_t gradients = GradientsBytes(fields); gradients > 0) {
    bytes = SaturatingSum(bytes, DelimitedFieldBytes(gradients));
  }
  bytes = SaturatingSum(bytes, VarintFieldBytes(fields.frozen_statistics));
  bytes = SaturatingSum(bytes, VarintFieldBytes(fields.per_sample_gradients));
  bytes = SaturatingSum(bytes, TensorFieldBytes(fields.grad_output));
  return SaturatingSum(bytes, TensorFieldBytes(fields.input));
}

grpc::ByteBuffer EncodeForwardRequest(const ForwardRequestFields& fields) {
  return MessageOf(EncodedBytes(fields), [&fields](MessageWriter& writer) {
    WriteConfig(fields, writer);
    writer.TensorField(2, fields.weight);
    writer.TensorField(3, fields.bias);
    WriteStatistics(4, fields, writer);
    writer.TensorField(15, fields.input);
  });
}

grpc::ByteBuffer EncodeBackwardRequest(const BackwardRequestFields& fields) {
  return MessageOf(EncodedBytes(fields), [&fields](MessageWriter& writer) {
    WriteConfig(fields, writer);
    writer.TensorField(2, fields.weight);
    WriteStatistics(3, fields, writer);
    if (const std::int64_t gradients = GradientsBytes(fields); gradients > 0) {
      writer.DelimitedHeader(4, gradients);
      if (fields.want_grad_input) writer.Varint(1);
      if (fields.want_grad_weight) writer.Varint(2);
      if (fields.want_grad_bias) writer.Varint(3);
    }
    writer.VarintField(5, fields.frozen_statistics);
    writer.VarintField(6, fields.per_sample_gradients);
    writer.TensorField(14, fields.grad_output);
    writer.TensorField(15, fields.input);
  });
}

absl::StatusOr<ForwardResponseFields> DecodeForwardResponse(
    const MessageSlices& message) {
  UncheckedForwardResponse unchecked;
  if (const auto failure = ReadMessage(message, unchecked)) {
    return ServerFault(NotAMessage("response", "ForwardResponse", *failure));
  }
  const UncheckedStatistics statistics =
      unchecked.statistics.value_or(UncheckedStatistics{});
  const auto mean = CheckStatistic("statistics.mean", statistics.mean);
  if (!mean.ok()) return ServerFault(mean.status());
  const auto rstd = CheckStatistic("statistics.rstd", statistics.rstd);
  if (!rstd.ok()) return ServerFault(rstd.status());
  const auto output = CheckTensor("output", unchecked.output);
  if (!output.ok()) return ServerFault(output.status());
  return ForwardResponseFields{*mean, *rstd, *output};
}

absl::StatusOr<BackwardResponseFields> DecodeBackwardResponse(
    const MessageSlices& message) {
  UncheckedBackwardResponse unchecked;
  if (const auto failure = ReadMessage(message, unchecked)) {
    return ServerFault(NotAMessage("response", "BackwardResponse", *failure));
  }
  BackwardResponseFields fields;
  absl::Status status =
      CheckGradient("grad_weight", unchecked.grad_weight, fields.grad_weight);
  if (!status.ok()) return ServerFault(status);
  status = CheckGradient("grad_bias", unchecked.grad_bias, fields.grad_bias);
  if (!status.ok()) return ServerFault(status);
  status = CheckGradient("grad_input", unchecked.grad_input, fields.grad_input);
  if (!status.ok()) return ServerFault(status);
  return fields;
}

}  // namespace groupnorm
