#ifndef GROUPNORM_SERVER_OPEN_STREAMS_H_
#define GROUPNORM_SERVER_OPEN_STREAMS_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/connection_id.h"

namespace groupnorm {

/// How far the server is on its way from start to end.
enum class ServerPhase {
  kServing,
  kLeaving,  ///< Still answers, and says that it soon will not.
  kClosing,  ///< Takes no new call, ends streams, finishes calls in flight.
};

/// A call that may stay open for as long as the server lives.
class OpenStream {
 public:
  virtual ~OpenStream() = default;

  /// The phase of the server has changed. Runs on the thread that changed it,
  /// beside any other step of the call, with no lock held.
  virtual void OnPhase() = 0;

  /// Its place has gone to a newer one: it has to end with `status`, or be
  /// cancelled where something else is being said, unless it ends already. Runs
  /// on the thread of the newer one, beside any other step of the call, with no
  /// lock held.
  virtual void OnDisplaced(const absl::Status& status) = 0;
};

/// The open streams of one kind: bounded in number, and told when the server is
/// about to end, since it cannot end before they do. One connection has at most
/// half of them, but at least one: so a flood leaves places for others.
/// Thread-safe.
class OpenStreams {
 public:
  /// What becomes of a stream that finds all places taken, but not all that its
  /// connection may have.
  enum class WhenFull {
    kRefuse,
    /// It gets the place of the one that entered first. For streams that are
    /// short where all goes well: then those that stay mean harm.
    kDisplaceOldest,
  };

  /// `kind` names them in the text of a refusal, as in "health watches".
  OpenStreams(std::string kind, int max_open,
              WhenFull when_full = WhenFull::kRefuse);

  /// Counts a stream of `connection` as open until Leave(), which the caller
  /// owes when this returns OK. From then on it hears of every change of phase,
  /// once it has looked at phase() itself. UNAVAILABLE: the server is closing.
  /// RESOURCE_EXHAUSTED: as many as may be are open, or of this connection.
  /// Takes time for each open stream where it displaces one.
  absl::Status Enter(const std::shared_ptr<OpenStream>& stream,
                     ConnectionId connection);
  void Leave(const OpenStream* stream);

  /// Takes no lock.
  ServerPhase phase() const { return phase_; }

  /// Goes on to a later phase and tells every stream. Takes no memory: a drain
  /// begins also where there is none.
  void SetPhase(ServerPhase phase);

 private:
  struct Entry {
    std::weak_ptr<OpenStream> stream;
    ConnectionId connection = nullptr;
    std::uint64_t number = 0;  // In the order of entering.
  };

  std::shared_ptr<OpenStream> RemoveOldest()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Remove(std::map<const OpenStream*, Entry>::iterator entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string kind_;
  const int max_open_;
  const int max_open_of_connection_;
  const WhenFull when_full_;
  std::atomic<ServerPhase> phase_ = ServerPhase::kServing;  // Set under mutex_.
  absl::Mutex mutex_;
  // In an order, so that SetPhase() can go through them one by one.
  std::map<const OpenStream*, Entry> streams_ ABSL_GUARDED_BY(mutex_);
  std::uint64_t entered_ ABSL_GUARDED_BY(mutex_) = 0;
  // Those open, for each connection that has any.
  std::unordered_map<ConnectionId, int> open_of_connection_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_OPEN_STREAMS_H_
