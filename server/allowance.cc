#include "server/allowance.h"

#include <utility>

namespace groupnorm {

Allowance::Allowance(std::int64_t units) : units_(units), free_(units) {}

bool Allowance::TakeOrWait(ConnectionId connection, const void* call,
                           std::int64_t units, std::function<void()> granted) {
  Waiters waiter;
  waiter.push_back({call, connection, units, std::move(granted)});
  Waiters taken;  // Destroyed without the lock: it may own the call.
  absl::MutexLock lock(&mutex_);
  Connection& own = At(connection);
  // Without a call that waits its turn would be skipped: should what follows
  // throw, this is not undone.
  List(own);
  calls_.emplace(call, waiter.begin());
  own.waiters.splice(own.waiters.end(), waiter);
  // Any other call that could have its units already has them.
  taken = Grant();
  return !taken.empty();
}

void Allowance::Leave(const void* call) {
  Waiters left;  // Destroyed without the lock: it may own the call.
  Waiters granted;
  {
    absl::MutexLock lock(&mutex_);
    const auto found = calls_.find(call);
    if (found == calls_.end()) return;
    const Waiters::iterator waiter = found->second;
    const ConnectionId id = waiter->connection;
    Connection& connection = connections_.at(id);
    calls_.erase(found);
    left.splice(left.end(), connection.waiters, waiter);
    // The calls behind it may fit where it did not.
    if (!connection.waiters.empty()) List(connection);
    granted = Grant();
    ForgetIfIdle(id);
  }
  Run(std::move(granted));
}

void Allowance::Release(ConnectionId connection, std::int64_t units) {
  Waiters granted;
  {
    absl::MutexLock lock(&mutex_);
    free_ += units;
    Connection& own = connections_.at(connection);
    own.held -= units;
    // It may have waited for its own half.
    if (!own.waiters.empty()) List(own);
    granted = Grant();
    ForgetIfIdle(connection);
  }
  Run(std::move(granted));
}

int Allowance::waiting() const {
  absl::MutexLock lock(&mutex_);
  return static_cast<int>(calls_.size());
}

bool Allowance::MayTake(const Connection& connection,
                        std::int64_t units) const {
  return connection.held == 0 || connection.held + units <= units_ / 2;
}

Allowance::Connection& Allowance::At(ConnectionId id) {
  auto found = connections_.find(id);
  if (found == connections_.end()) {
    Connection connection;
    connection.turn.push_back(id);
    found = connections_.emplace(id, std::move(connection)).first;
  }
  return found->second;
}

// Does nothing where it is listed already.
void Allowance::List(Connection& connection) {
  turns_.splice(turns_.end(), connection.turn);
}

void Allowance::ForgetIfIdle(ConnectionId id) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return;
  const Connection& connection = found->second;
  if (connection.held == 0 && connection.waiters.empty() &&
      !connection.turn.empty()) {
    connections_.erase(found);
  }
}

// One after the other, not one within the other: a call that gives its units
// back at once, as one does that has no memory to go on, ends the wait of the
// next, and a chain of all that wait would be too deep for the stack.
void Allowance::Run(Waiters granted) {
  // What this thread is in here with, of any allowance.
  thread_local Waiters* running = nullptr;
  if (running != nullptr) {
    running->splice(running->end(), granted);
    return;
  }
  running = &granted;
  while (!granted.empty()) {
    Waiters next;  // Destroyed before those that it may add.
    next.splice(next.end(), granted, granted.begin());
    next.front().granted();
  }
  running = nullptr;
}

// Takes the units of all calls that can have them out of the queue.
Allowance::Waiters Allowance::Grant() {
  Waiters granted;
  while (!turns_.empty()) {
    const ConnectionId id = turns_.front();
    Connection& connection = connections_.at(id);
    Waiters& waiters = connection.waiters;
    const bool skipped =
        waiters.empty() || !MayTake(connection, waiters.front().units);
    if (!skipped && waiters.front().units > free_) break;
    connection.turn.splice(connection.turn.end(), turns_, turns_.begin());
    if (skipped) {
      ForgetIfIdle(id);
      continue;
    }
    free_ -= waiters.front().units;
    connection.held += waiters.front().units;
    calls_.erase(waiters.front().call);
    granted.splice(granted.end(), waiters, waiters.begin());
    if (!waiters.empty()) List(connection);
  }
  return granted;
}

}  // namespace groupnorm
