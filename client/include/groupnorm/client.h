#ifndef GROUPNORM_CLIENT_H_
#define GROUPNORM_CLIENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "groupnorm/dtype.h"
#include "groupnorm/tensor_view.h"

namespace groupnorm {

/// Settings of a Client.
struct ClientOptions {
  /// `host:port`, `[IPv6 address]:port` or `unix:path`. Proxies that the
  /// environment names (http_proxy) are used for hosts other than loopback
  /// addresses only.
  std::string address = "127.0.0.1:50051";

  /// Time that a call may take, unless the call says otherwise. Positive and
  /// finite: every call has a deadline.
  absl::Duration timeout = absl::Seconds(60);
};

/// Given statistics: both of shape [batch, num_groups], of any element type.
struct StatisticsView {
  TensorView mean;
  TensorView rstd;
};

/// Arguments of Client::Forward. The views must stay valid during the call
/// only.
struct ForwardArguments {
  TensorView input;  ///< (N, C, *), or (N, *, C) with kChannelsLast.
  std::int64_t num_groups = 0;
  std::optional<double> epsilon =
      std::nullopt;  ///< Unset: the contract's 1e-5.
  Layout layout = Layout::kChannelsFirst;
  std::optional<TensorView> weight = std::nullopt;  ///< [C]; unset: ones.
  std::optional<TensorView> bias = std::nullopt;    ///< [C]; unset: zeros.
  std::optional<StatisticsView> statistics =
      std::nullopt;  ///< Unset: computed from input.
};

/// Where Client::Forward writes to; null: not wanted. Nothing here may overlap
/// the arguments. Needs no alignment beyond that of its type. Left as it was,
/// or partly written, where the call fails.
struct ForwardResults {
  void* output = nullptr;  ///< Element type and shape of input.
  double* mean = nullptr;  ///< [N, num_groups].
  double* rstd = nullptr;  ///< [N, num_groups].
};

/// Arguments of Client::Backward, of which the rules of ForwardArguments hold.
/// Which gradients are asked for is said by the results that are not null.
struct BackwardArguments {
  TensorView grad_output;  ///< Element type and shape of input.
  TensorView input;        ///< As for Forward.
  std::int64_t num_groups = 0;
  std::optional<double> epsilon = std::nullopt;
  Layout layout = Layout::kChannelsFirst;
  std::optional<TensorView> weight = std::nullopt;
  std::optional<StatisticsView> statistics =
      std::nullopt;                   ///< Unset: computed from input.
  bool frozen_statistics = false;     ///< Statistics are constants; needs some.
  bool per_sample_gradients = false;  ///< Not summed over the samples.
};

/// Where Client::Backward writes to, with the rules of ForwardResults. At least
/// one must be wanted.
struct BackwardResults {
  void* grad_input = nullptr;  ///< Element type and shape of input.
  /// [C] in the element type of weight (of input where there is no weight);
  /// with per_sample_gradients [N, C] doubles.
  void* grad_weight = nullptr;
  void* grad_bias = nullptr;  ///< Like grad_weight.
};

/// What GetServerInfo says.
struct ServerInfo {
  std::string version;
  std::int64_t max_message_bytes = 0;
  std::vector<DataType> dtypes;  ///< Those that this client knows.
  int workers = 0;
  std::string simd_target;
  absl::Duration uptime;  ///< In whole seconds.
};

/// A client of one groupnorm server.
///
/// Performance: one connection, kept open; creating a Client is expensive, a
/// call is not. A request's tensors are copied once, a response's once, into
/// the caller's memory.
///
/// Thread safety: safe to use from several threads at once.
///
/// Error handling: every call fails with the server's own code and unchanged
/// text. Without an answer: DEADLINE_EXCEEDED when the timeout ran out,
/// UNAVAILABLE when no server was reached or the connection broke; both name
/// the address. INTERNAL when the answer breaks the contract: it has to have
/// exactly the element types and shapes that the results are for. The rules of
/// the contract are the server's to check. The client refuses only what it
/// could not send: INVALID_ARGUMENT for a null pointer to elements, for a
/// timeout that is not positive and finite, and where no gradient is wanted;
/// RESOURCE_EXHAUSTED for tensors beyond the 2 GiB that a message can hold.
/// Nothing is tried twice.
///
///     auto client = groupnorm::Client::Create({.address = "127.0.0.1:50051"});
///     std::vector<float> x(2 * 6 * 16), y(x.size());
///     absl::Status status = (*client)->Forward(
///         {.input = {groupnorm::DataType::kFloat32, {2, 6, 16}, x.data()},
///          .num_groups = 3},
///         {.output = y.data()});
class Client {
 public:
  /// Does not connect yet: the first call does. Fails with INVALID_ARGUMENT on
  /// an address that cannot be one or a timeout that is not positive and
  /// finite.
  static absl::StatusOr<std::unique_ptr<Client>> Create(ClientOptions options);

  /// No call may be in progress.
  ~Client();

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Each takes the timeout of the options where none is given, and returns when
  // the answer has been copied to the results.

  /// Normalizes arguments.input.
  absl::Status Forward(const ForwardArguments& arguments,
                       const ForwardResults& results,
                       std::optional<absl::Duration> timeout = std::nullopt);

  /// Computes the gradients that `results` has room for.
  absl::Status Backward(const BackwardArguments& arguments,
                        const BackwardResults& results,
                        std::optional<absl::Duration> timeout = std::nullopt);

  /// Asks the server what it is.
  absl::StatusOr<ServerInfo> GetServerInfo(
      std::optional<absl::Duration> timeout = std::nullopt);

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_CLIENT_H_
