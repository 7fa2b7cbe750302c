// What the program does when connections come and files have run out.
//
// gRPC 1.51 never listens again after one accept4() has failed, so this program
// has an accept4() of its own, which gRPC's library calls in place of the C
// library's (docs/adr/0010-connections-without-descriptors.md). It refuses the
// connections that there is no descriptor for, and never fails for want of one.

#include "server/accept.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace groupnorm {
namespace {

// Of the warning: a flood of connections must not be one of lines.
constexpr absl::Duration kWarningInterval = absl::Seconds(10);

class SpareDescriptor {
 public:
  void Reserve() {
    const absl::MutexLock lock(&mutex_);
    Open();
  }

  // Takes the next connection, if there is one, and closes it. Returns false
  // where there was none, or no descriptor to take it with.
  bool RefuseNext(int listener) {
    const absl::MutexLock lock(&mutex_);
    if (fd_ >= 0) ::close(fd_);
    const auto connection = static_cast<int>(
        ::syscall(SYS_accept4, listener, nullptr, nullptr, SOCK_CLOEXEC));
    if (connection >= 0) ::close(connection);
    Open();
    if (connection >= 0) Warn();
    return connection >= 0;
  }

 private:
  void Open() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    fd_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  }

  void Warn() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++refused_;
    const absl::Time now = absl::Now();
    if (now - warned_ < kWarningInterval) return;
    spdlog::warn(
        "out of file descriptors: {} connections refused so far; is the limit "
        "on open files (ulimit -n) too low?",
        refused_);
    warned_ = now;
  }

  absl::Mutex mutex_;
  int fd_ ABSL_GUARDED_BY(mutex_) = -1;
  std::int64_t refused_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time warned_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
};

SpareDescriptor& Spare() {
  static auto* const kSpare = new SpareDescriptor;  // Threads may outlive main.
  return *kSpare;
}

bool IsOutOfDescriptors(int error) {
  return error == EMFILE || error == ENFILE;
}

}  // namespace

void ReserveDescriptorToRefuseWith() { Spare().Reserve(); }

}  // namespace groupnorm

// As in accept4(2), except that where files have run out, connections are
// refused until none waits, and EAGAIN is returned.
extern "C" int accept4(int listener, sockaddr* address, socklen_t* length,
                       int flags) {
  const auto connection = static_cast<int>(
      ::syscall(SYS_accept4, listener, address, length, flags));
  if (connection >= 0 || !groupnorm::IsOutOfDescriptors(errno)) {
    return connection;
  }
  while (groupnorm::Spare().RefuseNext(listener)) {
  }
  errno = EAGAIN;
  return -1;
}
