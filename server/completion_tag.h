#ifndef GROUPNORM_SERVER_COMPLETION_TAG_H_
#define GROUPNORM_SERVER_COMPLETION_TAG_H_

#include <atomic>
#include <functional>
#include <utility>

namespace groupnorm {

/// What a completion queue gives back when an operation has ended. One tag
/// serves one operation at a time.
class CompletionTag {
 public:
  /// The tag to start an operation with. `event` runs once, when it has ended;
  /// what it captures stays alive until then.
  void* Arm(std::function<void(bool ok)> event) {
    event_ = std::move(event);
    armed_.store(true, std::memory_order_release);
    return this;
  }

  /// The operation will not start after all: lets go of the event.
  void Disarm() { event_ = nullptr; }

  /// The operation has ended. The event may destroy this tag.
  void Complete(bool ok) {
    armed_.load(std::memory_order_acquire);
    const std::function<void(bool)> event = std::exchange(event_, nullptr);
    event(ok);
  }

 private:
  std::function<void(bool)> event_;
  // The queue has what Arm() wrote happen before Complete(), but in a library
  // that ThreadSanitizer does not see into. This says it again.
  std::atomic<bool> armed_ = false;
};

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_COMPLETION_TAG_H_
