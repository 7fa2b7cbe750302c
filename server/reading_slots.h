#ifndef GROUPNORM_SERVER_READING_SLOTS_H_
#define GROUPNORM_SERVER_READING_SLOTS_H_

#include <functional>
#include <list>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace groupnorm {

/// Bounds how many request bodies the server holds as it received them, and so
/// the memory that they take: a call has a slot from before it reads until its
/// payload has been gathered. Calls wait for a slot in the order in which they
/// came. Thread-safe.
class ReadingSlots {
 public:
  /// `num_slots` is 1 or more.
  explicit ReadingSlots(int num_slots);

  /// Takes a slot and returns true, or queues `granted` and returns false: it
  /// then runs once, on the thread that gave the slot back, with no lock held,
  /// and its call has the slot. `call` identifies the waiting call to Leave().
  bool TakeOrWait(const void* call, std::function<void()> granted);

  /// Ends the wait of a call: `granted` will not run. Does nothing where the
  /// call does not wait. Takes time linear in the number of waiting calls.
  void Leave(const void* call);

  /// Gives one slot back, to the call that has waited longest if one waits.
  void Release();

  /// Calls that wait for a slot.
  int waiting() const;

 private:
  using Waiter = std::pair<const void*, std::function<void()>>;

  mutable absl::Mutex mutex_;
  int free_ ABSL_GUARDED_BY(mutex_);
  std::list<Waiter> waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_READING_SLOTS_H_
