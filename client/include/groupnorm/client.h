#ifndef GROUPNORM_CLIENT_H_
#define GROUPNORM_CLIENT_H_

#include <cstdint>
#include <functional>
#include <limits>
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

/// How a Client tries again what failed for a reason that passes. All calls are
/// pure, so every call may be repeated.
struct RetryOptions {
  /// Attempts that a call may make, the first one included. Positive; 1:
  /// nothing is tried twice. By default a call goes on until its timeout.
  int max_attempts = std::numeric_limits<int>::max();

  /// Time that one attempt may take before the next one is made, at the next
  /// server where there are several. Positive. By default an attempt has all of
  /// the call's time: servers that are gone or frozen are noticed within 15 s
  /// anyway, and a shorter time than a large request takes would never see its
  /// answer. Set it where calls are known to be quick.
  absl::Duration attempt_timeout = absl::InfiniteDuration();
};

/// Settings of a Client.
struct ClientOptions {
  /// `host:port`, `[IPv6 address]:port` or `unix:path`. A name stands for every
  /// server that it resolves to, and may be written as in `dns:///host:port`.
  /// Several servers without a name are given as a list with commas:
  /// `10.0.0.1:50051,10.0.0.2:50051`, all IPv4 addresses, all IPv6 addresses or
  /// all UNIX sockets. Proxies that the environment names (http_proxy) are used
  /// for a single host other than loopback addresses only.
  std::string address = "127.0.0.1:50051";

  /// Time that a call may take, with all its attempts, unless the call says
  /// otherwise. Positive and finite: every call has a deadline.
  absl::Duration timeout = absl::Seconds(60);

  RetryOptions retry = {};
};

/// Given statistics: both of shape [batch, num_groups], of any element type.
struct StatisticsView {
  TensorView mean;
  TensorView rstd;
};

/// Arguments of Client::Forward. The views must stay valid until the function
/// that takes them returns: also ForwardAsync copies what they show.
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
/// the arguments. Needs no alignment beyond that of its type, and must stay
/// valid until the call is over. Left as it was, or partly written, where the
/// call fails.
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

struct AsyncCallState;

/// A call in progress, or one that is over. Copies stand for the same call, and
/// none has to be kept: a call goes on without. Thread-safe.
class AsyncCall {
 public:
  /// Waits until the call is over and its callback has returned; its deadline
  /// bounds that. OK, or the error, as of the call without Async. Not to be
  /// called in a callback.
  absl::Status Wait() const;

  /// Whether Wait() would return at once.
  bool done() const;

  /// Ends the call soon, with CANCELLED unless it is over already. The server
  /// is told, and stops computing at its next task.
  void Cancel() const;

 private:
  friend class Client;
  explicit AsyncCall(std::shared_ptr<AsyncCallState> state);
  std::shared_ptr<AsyncCallState> state_;
};

/// A client of one or several groupnorm servers, which must be able to stand in
/// for each other: each attempt of a call goes to the next one that is
/// connected and healthy.
///
/// Performance: one connection to each server, kept open; creating a Client is
/// expensive, a call is not. A request's tensors are copied once, a response's
/// once, into the caller's memory. A call without Async is served by the thread
/// that waits for it; the first one with Async starts a thread that serves all
/// of them and runs their callbacks.
///
/// Memory: a call holds its encoded request until it is over, since any attempt
/// may be repeated, and its response while that is received. How many calls are
/// in flight is the caller's decision, and so its bound.
///
/// Thread safety: safe to use from several threads at once.
///
/// Error handling: a call fails with the server's own code and unchanged text.
/// Without an answer: DEADLINE_EXCEEDED when the timeout ran out, UNAVAILABLE
/// when no server was reached or connections broke and there was no time or
/// leave for another attempt; both name the address and the number of attempts.
/// INTERNAL when the answer breaks the contract: it has to have exactly the
/// element types and shapes that the results are for. The rules of the contract
/// are the server's to check. The client refuses only what it could not send:
/// INVALID_ARGUMENT for a null pointer to elements, for a timeout that is not
/// positive and finite, and where no gradient is wanted; RESOURCE_EXHAUSTED for
/// tensors beyond the 2 GiB that a message can hold.
///
/// Retries: tried again, within the timeout and RetryOptions, is what may pass:
/// UNAVAILABLE from anyone (not reached, broken off, full, draining), an
/// attempt that ran out of its own time, and a stream that was reset (by a
/// server that ends or runs out of memory for messages, or by a proxy); the
/// last at most five times where the code is RESOURCE_EXHAUSTED. Between
/// attempts a call waits a random time, up to 50 ms at first and 1 s later,
/// after the time that the server asked for (`grpc-retry-pushback-ms`;
/// negative: no retry). While more fails than succeeds, a client sends at most
/// about ten retries a second beside those that servers asked for.
///
///     auto client = groupnorm::Client::Create({.address = "127.0.0.1:50051"});
///     std::vector<float> x(2 * 6 * 16), y(x.size());
///     absl::Status status = (*client)->Forward(
///         {.input = {groupnorm::DataType::kFloat32, {2, 6, 16}, x.data()},
///          .num_groups = 3},
///         {.output = y.data()});
class Client {
 public:
  /// Takes how the call ended. Run exactly once, on the client's own thread,
  /// after the results are written. All asynchronous calls wait for it, so it
  /// should be brief; it must not wait for one of them nor destroy the client.
  /// It may start others.
  using Callback = std::function<void(const absl::Status& status)>;

  /// Does not connect yet: the first call does. Fails with INVALID_ARGUMENT on
  /// an address that cannot be one, on a timeout that is not positive and
  /// finite, and on retries that are not positive.
  static absl::StatusOr<std::unique_ptr<Client>> Create(
      const ClientOptions& options);

  /// Cancels the asynchronous calls in flight and waits for their callbacks. No
  /// other call may be in progress.
  ~Client();

  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  // Each takes the timeout of the options where none is given. Those without
  // Async return when the answer has been copied to the results.

  /// Normalizes arguments.input.
  absl::Status Forward(const ForwardArguments& arguments,
                       const ForwardResults& results,
                       std::optional<absl::Duration> timeout = std::nullopt);

  /// Computes the gradients that `results` has room for.
  absl::Status Backward(const BackwardArguments& arguments,
                        const BackwardResults& results,
                        std::optional<absl::Duration> timeout = std::nullopt);

  /// Asks a server what it is.
  absl::StatusOr<ServerInfo> GetServerInfo(
      std::optional<absl::Duration> timeout = std::nullopt);

  /// Returns when the request has been copied. Every failure, also of what
  /// cannot be sent, comes by the callback and by Wait().
  AsyncCall ForwardAsync(const ForwardArguments& arguments,
                         const ForwardResults& results,
                         Callback callback = nullptr,
                         std::optional<absl::Duration> timeout = std::nullopt);
  AsyncCall BackwardAsync(const BackwardArguments& arguments,
                          const BackwardResults& results,
                          Callback callback = nullptr,
                          std::optional<absl::Duration> timeout = std::nullopt);

  /// Attempts beyond the first that all calls together have made so far. Where
  /// this grows as fast as the calls do, servers are missing or full.
  std::int64_t retries() const;

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_CLIENT_H_
