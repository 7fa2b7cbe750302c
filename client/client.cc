#include "groupnorm/client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/address.h"
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

// While a server restarts, gRPC waits longer and longer between two attempts to
// connect, two minutes at last, and fails every call in between. Nobody wants
// to wait that long for a server that is back.
constexpr int kMaxReconnectBackoffMs = 2000;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address) {
  grpc::ChannelArguments arguments;
  // The caller knows what it asked for.
  arguments.SetMaxReceiveMessageSize(-1);
  // gRPC's own retry never repeats a large request, so that nobody could rely
  // on it.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectBackoffMs);
  // By default all channels of a process share connections, and so the backoff
  // after a failure.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  if (IsLoopback(address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(
      TargetOf(address), grpc::InsecureChannelCredentials(), arguments);
}

/// The time that one call may take, running from construction.
class CallLimit {
 public:
  explicit CallLimit(absl::Duration timeout)
      : timeout_(timeout), deadline_(absl::Now() + timeout) {}

  absl::Status Validate() const {
    if (timeout_ > absl::ZeroDuration() &&
        timeout_ < absl::InfiniteDuration()) {
      return absl::OkStatus();
    }
    return absl::InvalidArgumentError(
        absl::StrCat("timeout: ", absl::FormatDuration(timeout_),
                     ", expected a positive and finite duration"));
  }

  absl::Duration timeout() const { return timeout_; }
  absl::Time deadline() const { return deadline_; }

 private:
  absl::Duration timeout_;
  absl::Time deadline_;
};

/// Whether a text is the server's own: those of the two codes below start so.
/// gRPC itself does not tell where a status was made.
bool IsFromServer(const std::string& text) {
  return absl::StartsWith(text, "server: ") ||
         absl::StartsWith(text, "deadline: ");
}

/// The one conversion of gRPC's statuses. Texts of the server pass unchanged;
/// those that gRPC makes up where no answer came do not say whose it was.
absl::Status ToAbslStatus(const grpc::Status& status,
                          const std::string& address, const CallLimit& limit) {
  // absl's codes are gRPC's.
  const auto code = static_cast<absl::StatusCode>(status.error_code());
  const std::string text = status.error_message();
  if (code == absl::StatusCode::kDeadlineExceeded && !IsFromServer(text)) {
    return absl::Status(code,
                        absl::StrCat("no answer from ", address, " within ",
                                     absl::FormatDuration(limit.timeout())));
  }
  if (code == absl::StatusCode::kUnavailable && !IsFromServer(text)) {
    return absl::Status(code,
                        absl::StrCat("no answer from ", address, ": ", text));
  }
  return absl::Status(code, text);
}

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

absl::Status CopyResults(const grpc::ByteBuffer& reply,
                         const ForwardArguments& arguments,
                         const ForwardResults& results) {
  const MessageSlices message(reply);
  const absl::StatusOr<ForwardResponseFields> response =
      DecodeForwardResponse(message);
  if (!response.ok()) return response.status();
  const Shape& shape = arguments.input.shape;
  const std::vector<std::int64_t> per_group = {BatchExtent(shape),
                                               arguments.num_groups};
  absl::Status status = CopyResult(
      message, &response->mean,
      {"statistics.mean", DataType::kFloat64, per_group, results.mean});
  status.Update(CopyResult(
      message, &response->rstd,
      {"statistics.rstd", DataType::kFloat64, per_group, results.rstd}));
  status.Update(CopyResult(
      message, &response->output,
      {"output", arguments.input.dtype, ExtentsOf(shape), results.output}));
  return status;
}

absl::Status CopyResults(const grpc::ByteBuffer& reply,
                         const BackwardArguments& arguments,
                         const BackwardResults& results) {
  const MessageSlices message(reply);
  const absl::StatusOr<BackwardResponseFields> response =
      DecodeBackwardResponse(message);
  if (!response.ok()) return response.status();
  const Shape& shape = arguments.input.shape;
  DataType dtype =
      arguments.weight ? arguments.weight->dtype : arguments.input.dtype;
  std::vector<std::int64_t> extents = {
      ChannelExtentOrZero(shape, arguments.layout)};
  if (arguments.per_sample_gradients) {
    dtype = DataType::kFloat64;
    extents.insert(extents.begin(), BatchExtent(shape));
  }
  const auto pointer = [](const std::optional<ResponseTensor>& tensor) {
    return tensor ? &*tensor : nullptr;
  };
  absl::Status status =
      CopyResult(message, pointer(response->grad_weight),
                 {"grad_weight", dtype, extents, results.grad_weight});
  status.Update(CopyResult(message, pointer(response->grad_bias),
                           {"grad_bias", dtype, extents, results.grad_bias}));
  status.Update(CopyResult(message, pointer(response->grad_input),
                           {"grad_input", arguments.input.dtype,
                            ExtentsOf(shape), results.grad_input}));
  return status;
}

}  // namespace

struct Client::Impl {
  explicit Impl(ClientOptions client_options)
      : options(std::move(client_options)),
        stub(MakeChannel(options.address)) {}

  /// One call with encoded messages.
  absl::StatusOr<grpc::ByteBuffer> Call(const char* method,
                                        const grpc::ByteBuffer& request,
                                        const CallLimit& limit);

  const ClientOptions options;
  grpc::GenericStub stub;
};

absl::StatusOr<grpc::ByteBuffer> Client::Impl::Call(
    const char* method, const grpc::ByteBuffer& request,
    const CallLimit& limit) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(limit.deadline()));
  grpc::CompletionQueue queue;
  grpc::ByteBuffer response;
  grpc::Status status;
  const auto call = stub.PrepareUnaryCall(&context, method, request, &queue);
  call->StartCall();
  call->Finish(&response, &status, /*tag=*/nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);  // The deadline bounds it.
  if (!status.ok()) {
    return ToAbslStatus(status, options.address, limit);
  }
  return response;
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Create(ClientOptions options) {
  if (absl::Status status = ValidateAddress(options.address); !status.ok()) {
    return status;
  }
  if (absl::Status status = CallLimit(options.timeout).Validate();
      !status.ok()) {
    return status;
  }
  return std::unique_ptr<Client>(
      new Client(std::make_unique<Impl>(std::move(options))));
}

absl::Status Client::Forward(const ForwardArguments& arguments,
                             const ForwardResults& results,
                             std::optional<absl::Duration> timeout) {
  const CallLimit limit(timeout.value_or(impl_->options.timeout));
  absl::Status status = limit.Validate();
  status.Update(Guard(arguments));
  if (!status.ok()) return status;

  auto fields = CommonFields<ForwardRequestFields>(arguments);
  fields.bias = arguments.bias;
  const absl::StatusOr<grpc::ByteBuffer> reply =
      impl_->Call(kForwardMethod, EncodeForwardRequest(fields), limit);
  if (!reply.ok()) return reply.status();
  return CopyResults(*reply, arguments, results);
}

absl::Status Client::Backward(const BackwardArguments& arguments,
                              const BackwardResults& results,
                              std::optional<absl::Duration> timeout) {
  const CallLimit limit(timeout.value_or(impl_->options.timeout));
  absl::Status status = limit.Validate();
  status.Update(Guard(arguments));
  if (!status.ok()) return status;

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
  const absl::StatusOr<grpc::ByteBuffer> reply =
      impl_->Call(kBackwardMethod, EncodeBackwardRequest(fields), limit);
  if (!reply.ok()) return reply.status();
  return CopyResults(*reply, arguments, results);
}

absl::StatusOr<ServerInfo> Client::GetServerInfo(
    std::optional<absl::Duration> timeout) {
  const CallLimit limit(timeout.value_or(impl_->options.timeout));
  if (absl::Status status = limit.Validate(); !status.ok()) return status;
  // The request has no fields: its encoding is empty.
  const grpc::Slice empty;
  absl::StatusOr<grpc::ByteBuffer> reply =
      impl_->Call(kGetServerInfoMethod, grpc::ByteBuffer(&empty, 1), limit);
  if (!reply.ok()) return reply.status();
  v1::GetServerInfoResponse response;
  if (!grpc::SerializationTraits<v1::GetServerInfoResponse>::Deserialize(
           &*reply, &response)
           .ok()) {
    return absl::InternalError("response: not a valid GetServerInfoResponse");
  }
  ServerInfo info;
  info.version = response.version();
  info.max_message_bytes = response.max_message_bytes();
  for (const int value : response.dtypes()) {
    if (const auto dtype = DataTypeFromValue(value)) {
      info.dtypes.push_back(*dtype);
    }
  }
  info.workers = response.workers();
  info.simd_target = response.simd_target();
  info.uptime = absl::Seconds(response.uptime_seconds());
  return info;
}

}  // namespace groupnorm
