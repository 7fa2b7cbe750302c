#ifndef GROUPNORM_SERVER_ALLOWANCE_H_
#define GROUPNORM_SERVER_ALLOWANCE_H_

#include <cstdint>
#include <functional>
#include <list>
#include <unordered_map>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/connection_id.h"

namespace groupnorm {

/// A number of units, reading slots or bytes of memory, that calls take and
/// give back. A call that finds too few left waits.
///
/// Connections have turns, and within a connection its calls, in the order in
/// which they came. Nobody overtakes the call whose turn it is, so one that
/// takes much is not starved by those that take little. A connection that holds
/// some gets no more than half of all: its further calls wait, and others pass
/// them. So one connection that gives nothing back leaves room for the rest,
/// and yet any single call may take everything.
///
/// Thread-safe. Each operation takes constant time, however many calls wait,
/// and time for each call whose wait it ends. Only TakeOrWait() takes memory;
/// where there is none it throws std::bad_alloc, and nothing has changed.
class Allowance {
 public:
  /// `units` is 1 or more.
  explicit Allowance(std::int64_t units);

  /// Takes units and returns true, or queues `granted` and returns false: that
  /// then runs once, on the thread that made room, with no lock held and within
  /// no other, and its call has the units. It must not throw. `call` identifies
  /// it to Leave(). `units` is 0 to all.
  bool TakeOrWait(ConnectionId connection, const void* call, std::int64_t units,
                  std::function<void()> granted);

  /// Ends the wait of a call: `granted` will not run. Does nothing where the
  /// call does not wait.
  void Leave(const void* call);

  /// Gives units back.
  void Release(ConnectionId connection, std::int64_t units);

  /// Calls that wait.
  int waiting() const;

 private:
  struct Waiter {
    const void* call = nullptr;
    ConnectionId connection = nullptr;
    std::int64_t units = 0;
    std::function<void()> granted;
  };
  using Waiters = std::list<Waiter>;

  // A connection that holds units, has calls that wait, or is listed.
  struct Connection {
    std::int64_t held = 0;
    Waiters waiters;
    // One entry, here or, while the connection is listed, in turns_.
    std::list<ConnectionId> turn;
  };

  bool MayTake(const Connection& connection, std::int64_t units) const;
  Connection& At(ConnectionId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void List(Connection& connection) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetIfIdle(ConnectionId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Waiters Grant() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Run(Waiters granted);

  const std::int64_t units_;
  mutable absl::Mutex mutex_;
  std::int64_t free_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<ConnectionId, Connection> connections_
      ABSL_GUARDED_BY(mutex_);
  std::unordered_map<const void*, Waiters::iterator> calls_
      ABSL_GUARDED_BY(mutex_);
  // Every connection whose first waiting call lacks nothing but free units, the
  // next turn first. Others may be listed as well; their turn is skipped.
  std::list<ConnectionId> turns_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_ALLOWANCE_H_
