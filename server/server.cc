#include "server/server.h"

#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/accepted_sockets.h"
#include "server/admission.h"
#include "server/allowance.h"
#include "server/call.h"
#include "server/completion_tag.h"
#include "server/descriptors.h"
#include "server/health_call.h"
#include "server/health_service.h"
#include "server/info_call.h"
#include "server/listen_address.h"
#include "server/memory_bound.h"
#include "server/open_streams.h"
#include "server/reflection_call.h"
#include "server/reflection_service.h"
#include "server/service.h"
#include "server/worker_pool.h"

namespace groupnorm {
namespace {

// gRPC's completion queues, each served by one thread that only moves bytes and
// decides. A hand-over to another thread costs a wake-up, so one queue is
// fastest for a single large call; with several in flight its thread becomes
// the bound. Two serve both.
constexpr int kQueues = kReceivingThreads;

// Calls on one connection, those that are refused included, that are open at
// the same time at least: HTTP/2 asks for no fewer, and a health watch is one.
constexpr int kMinConcurrentStreams = 100;

// Computations that share the workers, for each worker. Enough that a small one
// finds its turn between large ones; more would only evict each other from the
// caches.
constexpr int kRunningPerWorker = 4;

// How long connections are given to close once every call is answered. Clients
// are told at once, but one that makes no call hears it only after seconds, and
// a frozen one never. With kQuietComes, a second.
constexpr absl::Duration kConnectionsClose = absl::Milliseconds(500);

// How long calls that were cancelled are given to end, and their connections to
// close. Only the second takes time, where a peer does not read.
constexpr absl::Duration kCancelledEnd = absl::Seconds(1);

// gRPC answers CANCELLED to calls that come after it began to shut down, until
// their client has heard of that. So it begins only when no call has come for
// the first time, and at the latest after the second.
constexpr absl::Duration kQuiet = absl::Milliseconds(200);
constexpr absl::Duration kQuietComes = absl::Milliseconds(500);

// A client that does not answer a ping of the server is gone, though nobody
// closed its connection: then its calls are over and their memory is free. Long
// enough for a client whose link is full of its own request.
constexpr absl::Duration kKeepaliveTime = absl::Seconds(30);
constexpr absl::Duration kKeepaliveTimeout = absl::Seconds(20);

// Clients may ping as often as that, with or without a call: less than any of
// them does, since gRPC closes the connection of one that pings more often.
constexpr absl::Duration kMinPingInterval = absl::Seconds(1);

// What calls in flight are given once their connection has reached its age:
// longer than any call that somebody waits for.
constexpr absl::Duration kConnectionAgeGrace = absl::Minutes(5);

// For gRPC, which takes the largest int for an infinite time.
int Milliseconds(absl::Duration duration) {
  return static_cast<int>(std::min<std::int64_t>(
      absl::ToInt64Milliseconds(duration), std::numeric_limits<int>::max()));
}

void KeepConnections(grpc::ServerBuilder& builder,
                     absl::Duration max_connection_age) {
  const std::pair<const char*, absl::Duration> times[] = {
      {GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTime},
      {GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeout},
      {GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kMinPingInterval},
      {GRPC_ARG_MAX_CONNECTION_AGE_MS, max_connection_age},
      {GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, kConnectionAgeGrace}};
  for (const auto& [name, time] : times) {
    builder.AddChannelArgument(name, Milliseconds(time));
  }
  // Both ways also where no call is open.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
}

void ServeQueue(grpc::ServerCompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  while (queue.Next(&tag, &ok)) static_cast<CompletionTag*>(tag)->Complete(ok);
}

// Bounds what gRPC holds for this server.
void BoundTransport(grpc::ServerBuilder& builder,
                    const ServerOptions& options) {
  // The body of a call that is not read yet stays with its sender, but for this
  // much. gRPC would let more come the faster the line is.
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES,
                             static_cast<int>(kLookaheadBytes));
  // A connection has no use for more: it gets half of them admitted.
  builder.AddChannelArgument(
      GRPC_ARG_MAX_CONCURRENT_STREAMS,
      std::max(kMinConcurrentStreams, options.max_queued_calls));
  // gRPC looks at the size of a message only once it has all of it. Against
  // messages beyond the limit this is the bound.
  grpc::ResourceQuota quota("groupnorm");
  quota.Resize(static_cast<std::size_t>(MemoryBoundOf(options).transport));
  builder.SetResourceQuota(quota);
}

}  // namespace

struct Server::Impl {
  explicit Impl(const ServerOptions& with_defaults);

  absl::Status Listen();
  void Serve();
  bool Drain();
  void SetPhase(ServerPhase phase);
  void StopServing(absl::Time deadline);

  const ServerOptions options;
  std::vector<std::string> addresses;
  ListeningSockets listening;

  AdmissionController admission;
  Allowance reading_slots;
  Allowance queued_bytes;
  BufferPool buffers;
  CallCount calls;
  WorkerPool workers;
  OpenStreams health_checks{"health checks", kMaxChecks,
                            OpenStreams::WhenFull::kDisplaceOldest};
  OpenStreams health_watches{"health watches", kMaxWatches};
  OpenStreams reflections{"reflection streams", kMaxReflections,
                          OpenStreams::WhenFull::kDisplaceOldest};
  GroupNormService service;
  HealthService health_service;
  ReflectionService reflection_service;
  CallEnvironment call_environment;
  InfoEnvironment info_environment;
  HealthEnvironment health_environment;
  ReflectionEnvironment reflection_environment;

  std::vector<std::unique_ptr<grpc::ServerCompletionQueue>> queues;
  std::unique_ptr<grpc::Server> server;
  std::vector<std::thread> threads;

  // When connections are closed that gRPC cannot close. Here, since an alarm
  // takes memory to make.
  CompletionTag too_late_tag;
  grpc::Alarm too_late;

  absl::Mutex drain_mutex;
  std::optional<bool> drained ABSL_GUARDED_BY(drain_mutex);
};

Server::Impl::Impl(const ServerOptions& with_defaults)
    : options(with_defaults),
      admission(options.max_queued_calls),
      reading_slots(options.max_reading_calls),
      queued_bytes(options.max_queued_bytes),
      buffers(
          static_cast<std::size_t>(kIdleMessages * options.max_message_bytes)),
      workers(options.workers, kRunningPerWorker * options.workers),
      call_environment{
          .service = service,
          .admission = admission,
          .reading_slots = reading_slots,
          .queued_bytes = queued_bytes,
          .buffers = buffers,
          .workers = workers,
          .limits = {.max_message_bytes = options.max_message_bytes,
                     .max_queued_bytes = options.max_queued_bytes},
          .read_timeout = options.read_timeout,
          .write_timeout = options.write_timeout,
          .calls = calls},
      info_environment{.service = service,
                       .admission = admission,
                       .info = {.max_message_bytes = options.max_message_bytes,
                                .workers = options.workers,
                                .started = absl::Now()},
                       .write_timeout = options.write_timeout,
                       .calls = calls},
      health_environment{.service = health_service,
                         .checks = health_checks,
                         .watches = health_watches,
                         .read_timeout = options.read_timeout,
                         .write_timeout = options.write_timeout,
                         .calls = calls},
      reflection_environment{.service = reflection_service,
                             .streams = reflections,
                             .write_timeout = options.write_timeout,
                             .calls = calls} {}

absl::Status Server::Impl::Listen() {
  const auto max_message_bytes = static_cast<int>(options.max_message_bytes);
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(max_message_bytes);
  builder.SetMaxSendMessageSize(max_message_bytes);
  // A second server on the port fails instead of taking half of the calls.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Identity alone: a message that grows when it is unpacked evades the limit
  // on its size until it fills the memory.
  builder.AddChannelArgument(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET,
                             1);
  KeepConnections(builder, options.max_connection_age);
  BoundTransport(builder, options);
  builder.RegisterService(&service);
  builder.RegisterService(&health_service);
  builder.RegisterService(&reflection_service);
  for (int i = 0; i < kQueues; ++i) {
    queues.push_back(builder.AddCompletionQueue());
  }

  std::vector<ListenAddress> wanted;
  for (const std::string& text : options.listen) {
    absl::StatusOr<ListenAddress> address = ListenAddress::Parse(text);
    if (!address.ok()) return address.status();
    if (absl::Status status = address->RemoveStaleSocket(); !status.ok()) {
      return status;
    }
    wanted.push_back(*std::move(address));
  }
  std::vector<int> ports(wanted.size(), 0);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    builder.AddListeningPort(wanted[i].text(),
                             grpc::InsecureServerCredentials(), &ports[i]);
  }
  server = builder.BuildAndStart();
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (ports[i] == 0) {
      return absl::UnavailableError(
          absl::StrCat("--listen: ", wanted[i].text(), " cannot be bound; ",
                       wanted[i].QuestionIfNotBound()));
    }
    addresses.push_back(wanted[i].WithPort(ports[i]));
    if (wanted[i].path().empty()) {
      listening.ports.push_back(ports[i]);
    } else {
      listening.paths.push_back(wanted[i].path());
    }
  }
  if (server == nullptr) {
    return absl::InternalError("server: gRPC refused to start");
  }
  return absl::OkStatus();
}

void Server::Impl::Serve() {
  for (const auto& queue : queues) {
    Call::Await(GroupNormService::kForward, call_environment, queue.get());
    Call::Await(GroupNormService::kBackward, call_environment, queue.get());
    InfoCall::Await(info_environment, queue.get());
    HealthCall::Await(HealthService::kCheck, health_environment, queue.get());
    HealthCall::Await(HealthService::kWatch, health_environment, queue.get());
    ReflectionCall::Await(ReflectionService::kV1Alpha, reflection_environment,
                          queue.get());
    ReflectionCall::Await(ReflectionService::kV1, reflection_environment,
                          queue.get());
    threads.emplace_back([&queue = *queue] { ServeQueue(queue); });
  }
}

void Server::Impl::SetPhase(ServerPhase phase) {
  if (phase == ServerPhase::kClosing) admission.StartDraining();
  health_checks.SetPhase(phase);
  health_watches.SetPhase(phase);
  reflections.SetPhase(phase);
}

bool Server::Impl::Drain() {
  absl::MutexLock lock(&drain_mutex);
  if (drained.has_value()) return *drained;
  SetPhase(ServerPhase::kLeaving);
  absl::SleepFor(options.drain_delay);
  const absl::Time deadline = absl::Now() + options.drain_timeout;
  SetPhase(ServerPhase::kClosing);
  drained = admission.AwaitAllAnswered(deadline);
  calls.AwaitQuiet(kQuiet, std::min(deadline, absl::Now() + kQuietComes));
  const absl::Time now = absl::Now();
  StopServing(*drained ? std::min(deadline, now + kConnectionsClose) : now);
  return *drained;
}

// Ends the calls that are left at `deadline`, then the threads.
void Server::Impl::StopServing(absl::Time deadline) {
  too_late.Set(queues.front().get(),
               absl::ToChronoTime(deadline + kCancelledEnd),
               too_late_tag.Arm([this](bool in_time) {
                 if (in_time) CloseConnectionsTo(listening);
               }));
  server->Shutdown(absl::ToChronoTime(deadline));
  // Every call that waited for a caller has its tag back now or soon. No
  // operation may start on a queue that has been shut down, so first the calls
  // have to be gone.
  calls.AwaitNone(absl::InfiniteFuture());
  too_late.Cancel();
  for (const auto& queue : queues) queue->Shutdown();
  for (std::thread& thread : threads) thread.join();
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(ServerOptions options) {
  if (absl::Status status = Validate(options); !status.ok()) return status;
  if (absl::Status status = CheckDescriptors(options.listen.size());
      !status.ok()) {
    return status;
  }
  auto impl = std::make_unique<Impl>(WithDefaults(std::move(options)));
  if (absl::Status status = impl->Listen(); !status.ok()) {
    // gRPC wants even queues that were never served to be drained.
    impl->server.reset();
    for (const auto& queue : impl->queues) {
      queue->Shutdown();
      ServeQueue(*queue);
    }
    return status;
  }
  impl->Serve();
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() {
  absl::MutexLock lock(&impl_->drain_mutex);
  if (impl_->drained.has_value()) return;
  impl_->SetPhase(ServerPhase::kClosing);
  impl_->StopServing(absl::Now());
}

const std::vector<std::string>& Server::addresses() const {
  return impl_->addresses;
}

int Server::calls_in_flight() const { return impl_->admission.in_flight(); }

bool Server::Drain() { return impl_->Drain(); }

}  // namespace groupnorm
