#include "client/prepared_call.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/server_info.h"
#include "groupnorm/v1/groupnorm.pb.h"
#include "tensor/group_geometry.h"
#include "wire/client_messages.h"
#include "wire/message_slices.h"

namespace groupnorm {

namespace {

constexpr char kForwardMethod[] = "/groupnorm.v1.GroupNormService/Forward";
constexpr char kBackwardMethod[] = "/groupnorm.v1.GroupNormService/Backward";
constexpr char kGetServerInfoMethod[] =
    "/groupnorm.v1.GroupNormService/GetServerInfo";

// A protobuf message ends at 2 GiB; what is not tensor data needs far less than
// this margin.
constexpr std::size_t kMaxTensorBytes =
    std::numeric_limits<std::int32_t>::max() - std::size_t{64 << 10};

/// Refuses what would crash or overflow while the request is encoded.
class RequestGuard {
 public:
  void Add(const char* name, const TensorView& tensor) {
    const std::size_t bytes = tensor.size_bytes();
    if (bytes > 0 && tensor.data == nullptr && status_.ok()) {
      status_ = absl::InvalidArgumentError(
          absl::StrCat(name, ".data: null, expected ", bytes, " bytes"));
    }
    bytes_ += std::min(bytes, kMaxTensorBytes + 1);
  }
  void Add(const char* name, const std::optional<TensorView>& tensor) {
    if (tensor) Add(name, *tensor);
  }
  void Add(const std::optional<StatisticsView>& statistics) {
    if (!statistics) return;
    Add("statistics.mean", statistics->mean);
    Add("statistics.rstd", statistics->rstd);
  }

  absl::Status status() const {
    if (!status_.ok() || bytes_ <= kMaxTensorBytes) return status_;
    return absl::ResourceExhaustedError(
        absl::StrCat("request: more than ", kMaxTensorBytes,
                     " bytes of tensors, which no message can hold"));
  }

 private:
  absl::Status status_;
  std::size_t bytes_ = 0;
};

/// A result that the caller has memory for.
struct Wanted {
  const char* name;
  DataType dtype;
  std::vector<std::int64_t> extents;
  void* destination;  // Null: not wanted.
};

/// Copies one tensor of a response to the caller's memory, once it is certain
/// to fit there exactly.
absl::Status CopyResult(const MessageSlices& message,
                        const ResponseTensor* tensor, const Wanted& wanted) {
  if (wanted.destination == nullptr) return absl::OkStatus();
  const auto fault = [&](const std::string& found) {
    return absl::InternalError(
        absl::StrCat("response.", wanted.name, ": ", found, ", expected ",
                     std::string(DataTypeName(wanted.dtype)), " ",
                     ExtentsToString(wanted.extents)));
  };
  if (tensor == nullptr) return fault("missing");
  if (tensor->dtype != wanted.dtype ||
      !std::ranges::equal(tensor->shape.extents(), wanted.extents)) {
    return fault(absl::StrCat(std::string(DataTypeName(tensor->dtype)), " ",
                              tensor->shape.ToString()));
  }
  message.Copy(tensor->data, static_cast<std::byte*>(wanted.destination));
  return absl::OkStatus();
}

std::vector<std::int64_t> ExtentsOf(const Shape& shape) {
  return {shape.extents().begin(), shape.extents().end()};
}

// What follows computes from shapes that the server has accepted, unless it
// breaks the contract: then nothing may crash, and no tensor will match.

std::int64_t BatchExtent(const Shape& shape) {
  return shape.rank() > 0 ? shape.extent(0) : 0;
}

std::int64_t ChannelExtentOrZero(const Shape& shape, Layout layout) {
  return shape.rank() >= 2 ? ChannelExtent(shape, layout) : 0;
}

absl::Status Guard(const ForwardArguments& arguments) {
  RequestGuard guard;
  guard.Add("input", arguments.input);
  guard.Add("weight", arguments.weight);
  guard.Add("bias", arguments.bias);
  guard.Add(arguments.statistics);
  return guard.status();
}

absl::Status Guard(const BackwardArguments& arguments) {
  RequestGuard guard;
  guard.Add("grad_output", arguments.grad_output);
  guard.Add("input", arguments.input);
  guard.Add("weight", arguments.weight);
  guard.Add(arguments.statistics);
  return guard.status();
}

/// The fields that both requests have.
template <typename Fields, typename Arguments>
Fields CommonFields(const Arguments& arguments) {
  Fields fields;
  fields.num_groups = arguments.num_groups;
  fields.epsilon = arguments.epsilon;
  fields.layout = arguments.layout;
  fields.weight = arguments.weight;
  if (arguments.statistics) {
    fields.mean = arguments.statistics->mean;
    fields.rstd = arguments.statistics->rstd;
  }
  fields.input = arguments.input;
  return fields;
}

absl::Status CopyForward(const grpc::ByteBuffer& reply, const Wanted& mean,
                         const Wanted& rstd, const Wanted& output) {
  const MessageSlices message(reply);
  const absl::StatusOr<ForwardResponseFields> response =
      DecodeForwardResponse(message);
  if (!response.ok()) return response.status();
  absl::Status status = CopyResult(message, &response->mean, mean);
  status.Update(CopyResult(message, &response->rstd, rstd));
  status.Update(CopyResult(message, &response->output, output));
  return status;
}

absl::Status CopyBackward(const grpc::ByteBuffer& reply,
                          const Wanted& grad_weight, const Wanted& grad_bias,
                          const Wanted& grad_input) {
  const MessageSlices message(reply);
  const absl::StatusOr<BackwardResponseFields> response =
      DecodeBackwardResponse(message);
  if (!response.ok()) return response.status();
  const auto pointer = [](const std::optional<ResponseTensor>& tensor) {
    return tensor ? &*tensor : nullptr;
  };
  absl::Status status =
      CopyResult(message, pointer(response->grad_weight), grad_weight);
  status.Update(CopyResult(message, pointer(response->grad_bias), grad_bias));
  status.Update(CopyResult(message, pointer(response->grad_input), grad_input));
  return status;
}

}  // namespace

absl::StatusOr<PreparedCall> PrepareForward(const ForwardArguments& arguments,
                                            const ForwardResults& results) {
  if (absl::Status status = Guard(arguments); !status.ok()) return status;
  auto fields = CommonFields<ForwardRequestFields>(arguments);
  fields.bias = arguments.bias;

  const Shape& shape = arguments.input.shape;
  const std::vector<std::int64_t> per_group = {BatchExtent(shape),
                                               arguments.num_groups};
  const Wanted mean = {"statistics.mean", DataType::kFloat64, per_group,
                       results.mean};
  const Wanted rstd = {"statistics.rstd", DataType::kFloat64, per_group,
                       results.rstd};
  const Wanted output = {"output", arguments.input.dtype, ExtentsOf(shape),
                         results.output};
  return PreparedCall{
      .method = kForwardMethod,
      .request = EncodeForwardRequest(fields),
      .accept = [mean, rstd, output](const grpc::ByteBuffer& reply) {
        return CopyForward(reply, mean, rstd, output);
      }};
}

absl::StatusOr<PreparedCall> PrepareBackward(const BackwardArguments& arguments,
                                             const BackwardResults& results) {
  if (absl::Status status = Guard(arguments); !status.ok()) return status;
  auto fields = CommonFields<BackwardRequestFields>(arguments);
  fields.want_grad_input = results.grad_input != nullptr;
  fields.want_grad_weight = results.grad_weight != nullptr;
  fields.want_grad_bias = results.grad_bias != nullptr;
  // On the wire no gradient stands for all of them.
  if (!fields.want_grad_input && !fields.want_grad_weight &&
      !fields.want_grad_bias) {
    return absl::InvalidArgumentError(
        "results: all null, expected memory for at least one gradient");
  }
  fields.frozen_statistics = arguments.frozen_statistics;
  fields.per_sample_gradients = arguments.per_sample_gradients;
  fields.grad_output = arguments.grad_output;

  const Shape& shape = arguments.input.shape;
  DataType dtype =
      arguments.weight ? arguments.weight->dtype : arguments.input.dtype;
  std::vector<std::int64_t> extents = {
      ChannelExtentOrZero(shape, arguments.layout)};
  if (arguments.per_sample_gradients) {
    dtype = DataType::kFloat64;
    extents.insert(extents.begin(), BatchExtent(shape));
  }
  const Wanted grad_weight = {"grad_weight", dtype, extents,
                              results.grad_weight};
  const Wanted grad_bias = {"grad_bias", dtype, extents, results.grad_bias};
  const Wanted grad_input = {"grad_input", arguments.input.dtype,
                             ExtentsOf(shape), results.grad_input};
  return PreparedCall{.method = kBackwardMethod,
                      .request = EncodeBackwardRequest(fields),
                      .accept = [grad_weight, grad_bias,
                                 grad_input](const grpc::ByteBuffer& reply) {
                        return CopyBackward(reply, grad_weight, grad_bias,
                                            grad_input);
                      }};
}

PreparedCall PrepareGetServerInfo(ServerInfo& info) {
  // The request has no fields: its encoding is empty.
  const grpc::Slice empty;
  return {
      .method = kGetServerInfoMethod,
      .request = grpc::ByteBuffer(&empty, 1),
      .accept = [&info](grpc::ByteBuffer reply) {
        v1::GetServerInfoResponse response;
        if (!grpc::SerializationTraits<v1::GetServerInfoResponse>::Deserialize(
                 &reply, &response)
                 .ok()) {
          return absl::InternalError(
              "response: not a valid GetServerInfoResponse");
        }
        info = InfoOf(response);
        return absl::OkStatus();
      }};
}

}  // namespace groupnorm
