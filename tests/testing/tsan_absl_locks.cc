// Tells ThreadSanitizer what Abseil's locks order. Linked into every program of
// the preset tsan, and into nothing else.
//
// The distribution's Abseil is not built with ThreadSanitizer, which therefore
// sees no order between an Unlock and the next Lock and reports every guarded
// access. The definitions below come before those of the shared library, also
// for its own calls; each hands on to the library's and adds the order that it
// promises. What is not guarded is still reported.

#include <dlfcn.h>
#include <sanitizer/tsan_interface.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/base/config.h"
#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

namespace {

#define GROUPNORM_STRING_OF_NAME(name) #name
#define GROUPNORM_STRING_OF(macro) GROUPNORM_STRING_OF_NAME(macro)

// The library's function; `prefix` and `rest` enclose the names of the
// namespaces in its mangled name.
void* Find(const char* prefix, const char* rest) {
  const std::string inner =
      GROUPNORM_STRING_OF(ABSL_OPTION_INLINE_NAMESPACE_NAME);
  const std::string name = std::string(prefix) + "4absl" +
                           std::to_string(inner.size()) + inner + rest;
  void* const found = dlsym(RTLD_NEXT, name.c_str());
  if (found == nullptr) {
    std::fprintf(stderr, "not in this release of Abseil: %s\n", name.c_str());
    std::abort();
  }
  return found;
}

template <typename Function>
Function Next(const char* rest, const char* prefix = "_ZN") {
  return reinterpret_cast<Function>(Find(prefix, rest));
}

// The lock under which the library evaluates conditions on this thread: an
// Unlock does so for those who wait.
thread_local absl::Mutex* current_mutex = nullptr;

class CurrentMutex {
 public:
  explicit CurrentMutex(absl::Mutex* mutex) : before_(current_mutex) {
    current_mutex = mutex;
  }
  ~CurrentMutex() { current_mutex = before_; }
  CurrentMutex(const CurrentMutex&) = delete;
  CurrentMutex& operator=(const CurrentMutex&) = delete;

 private:
  absl::Mutex* const before_;
};

template <typename Call>
auto Locking(absl::Mutex* mutex, Call call) {
  const CurrentMutex current(mutex);
  const auto result = call();
  __tsan_acquire(mutex);
  return result;
}

template <typename Call>
auto Waiting(absl::Mutex* mutex, Call call) {
  __tsan_release(mutex);
  return Locking(mutex, call);
}

template <typename Call>
void Unlocking(absl::Mutex* mutex, Call call) {
  const CurrentMutex current(mutex);
  __tsan_release(mutex);
  call();
}

// Where the inline part of Notification looks first.
void* FlagOf(const absl::Notification* notification) {
  return const_cast<char*>(reinterpret_cast<const char*>(notification)) +
         sizeof(absl::Mutex);
}

}  // namespace

// Every function below takes its object as the first argument of the library's.
#define GROUPNORM_NEXT(Type, rest) static const auto next = Next<Type>(rest)

namespace absl {
ABSL_NAMESPACE_BEGIN

void Mutex::Lock() {
  GROUPNORM_NEXT(void (*)(Mutex*), "5Mutex4LockEv");
  Locking(this, [&] { return next(this), true; });
}

bool Mutex::TryLock() {
  GROUPNORM_NEXT(bool (*)(Mutex*), "5Mutex7TryLockEv");
  return Locking(this, [&] { return next(this); });
}

void Mutex::Unlock() {
  GROUPNORM_NEXT(void (*)(Mutex*), "5Mutex6UnlockEv");
  Unlocking(this, [&] { next(this); });
}

void Mutex::ReaderLock() {
  GROUPNORM_NEXT(void (*)(Mutex*), "5Mutex10ReaderLockEv");
  Locking(this, [&] { return next(this), true; });
}

void Mutex::ReaderUnlock() {
  GROUPNORM_NEXT(void (*)(Mutex*), "5Mutex12ReaderUnlockEv");
  Unlocking(this, [&] { next(this); });
}

void Mutex::LockWhen(const Condition& condition) {
  GROUPNORM_NEXT(void (*)(Mutex*, const Condition&),
                 "5Mutex8LockWhenERKNS0_9ConditionE");
  Locking(this, [&] { return next(this, condition), true; });
}

bool Mutex::LockWhenWithDeadline(const Condition& condition, Time deadline) {
  GROUPNORM_NEXT(bool (*)(Mutex*, const Condition&, Time),
                 "5Mutex20LockWhenWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  return Locking(this, [&] { return next(this, condition, deadline); });
}

bool Mutex::LockWhenWithTimeout(const Condition& condition, Duration timeout) {
  GROUPNORM_NEXT(bool (*)(Mutex*, const Condition&, Duration),
                 "5Mutex19LockWhenWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  return Locking(this, [&] { return next(this, condition, timeout); });
}

void Mutex::Await(const Condition& condition) {
  GROUPNORM_NEXT(void (*)(Mutex*, const Condition&),
                 "5Mutex5AwaitERKNS0_9ConditionE");
  Waiting(this, [&] { return next(this, condition), true; });
}

bool Mutex::AwaitWithDeadline(const Condition& condition, Time deadline) {
  GROUPNORM_NEXT(bool (*)(Mutex*, const Condition&, Time),
                 "5Mutex17AwaitWithDeadlineERKNS0_9ConditionENS0_4TimeE");
  return Waiting(this, [&] { return next(this, condition, deadline); });
}

bool Mutex::AwaitWithTimeout(const Condition& condition, Duration timeout) {
  GROUPNORM_NEXT(bool (*)(Mutex*, const Condition&, Duration),
                 "5Mutex16AwaitWithTimeoutERKNS0_9ConditionENS0_8DurationE");
  return Waiting(this, [&] { return next(this, condition, timeout); });
}

bool Condition::Eval() const {
  static const auto next =
      Next<bool (*)(const Condition*)>("9Condition4EvalEv", "_ZNK");
  if (current_mutex == nullptr) return next(this);
  __tsan_acquire(current_mutex);
  const bool result = next(this);
  __tsan_release(current_mutex);
  return result;
}

void CondVar::Wait(Mutex* mutex) {
  GROUPNORM_NEXT(void (*)(CondVar*, Mutex*), "7CondVar4WaitEPNS0_5MutexE");
  Waiting(mutex, [&] { return next(this, mutex), true; });
}

bool CondVar::WaitWithDeadline(Mutex* mutex, Time deadline) {
  GROUPNORM_NEXT(bool (*)(CondVar*, Mutex*, Time),
                 "7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  return Waiting(mutex, [&] { return next(this, mutex, deadline); });
}

bool CondVar::WaitWithTimeout(Mutex* mutex, Duration timeout) {
  GROUPNORM_NEXT(bool (*)(CondVar*, Mutex*, Duration),
                 "7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  return Waiting(mutex, [&] { return next(this, mutex, timeout); });
}

void Notification::Notify() {
  GROUPNORM_NEXT(void (*)(Notification*), "12Notification6NotifyEv");
  __tsan_release(FlagOf(this));
  next(this);
}

void Notification::WaitForNotification() const {
  static const auto next = Next<void (*)(const Notification*)>(
      "12Notification19WaitForNotificationEv", "_ZNK");
  next(this);
  __tsan_acquire(FlagOf(this));
}

bool Notification::WaitForNotificationWithDeadline(Time deadline) const {
  static const auto next = Next<bool (*)(const Notification*, Time)>(
      "12Notification31WaitForNotificationWithDeadlineENS0_4TimeE", "_ZNK");
  const bool notified = next(this, deadline);
  if (notified) __tsan_acquire(FlagOf(this));
  return notified;
}

bool Notification::WaitForNotificationWithTimeout(Duration timeout) const {
  static const auto next = Next<bool (*)(const Notification*, Duration)>(
      "12Notification30WaitForNotificationWithTimeoutENS0_8DurationE", "_ZNK");
  const bool notified = next(this, timeout);
  if (notified) __tsan_acquire(FlagOf(this));
  return notified;
}

bool BlockingCounter::DecrementCount() {
  GROUPNORM_NEXT(bool (*)(BlockingCounter*),
                 "15BlockingCounter14DecrementCountEv");
  __tsan_release(this);
  return next(this);
}

void BlockingCounter::Wait() {
  GROUPNORM_NEXT(void (*)(BlockingCounter*), "15BlockingCounter4WaitEv");
  next(this);
  __tsan_acquire(this);
}

ABSL_NAMESPACE_END
}  // namespace absl
