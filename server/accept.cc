// What the program does when connections come and cannot be taken.
//
// gRPC 1.51 never listens again after one accept4() has failed, so this program
// has an accept4() of its own, which gRPC's library calls in place of the C
// library's (docs/adr/0010-connections-without-descriptors.md). It refuses the
// connections that there is no descriptor for, and fails only where the
// listener itself is at fault.

#include "server/accept.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/accept_failure.h"

namespace groupnorm {
namespace {

// Of the warning: a flood of connections must not be one of lines.
constexpr absl::Duration kWarningInterval = absl::Seconds(10);

// The longest backlog of a listener. What waited at first has been looked at
// after so many; what came since is announced to gRPC once more, and its thread
// has other connections to serve in between.
constexpr int kMostAtOnce = 65535;

class SpareDescriptor {
 public:
  void Reserve() {
    const absl::MutexLock lock(&mutex_);
    Open();
  }

  // Takes the next connection, if there is one, and closes it. Returns false
  // where there was none, or no descriptor to take it with.
  bool RefuseNext(int listener) {
    std::int64_t to_report = 0;
    {
      const absl::MutexLock lock(&mutex_);
      if (fd_ >= 0) ::close(fd_);
      const auto connection = static_cast<int>(
          ::syscall(SYS_accept4, listener, nullptr, nullptr, SOCK_CLOEXEC));
      if (connection >= 0) ::close(connection);
      Open();
      if (connection < 0) return false;
      to_report = CountRefused();
    }
    if (to_report > 0) {
      spdlog::warn(
          "out of file descriptors: {} connections refused so far; is the "
          "limit on open files (ulimit -n) too low?",
          to_report);
    }
    return true;
  }

 private:
  void Open() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    fd_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  }

  // How many there have been, where it is time to warn of them; otherwise 0.
  std::int64_t CountRefused() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++refused_;
    const absl::Time now = absl::Now();
    if (now - warned_ < kWarningInterval) return 0;
    warned_ = now;
    return refused_;
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

}  // namespace

void ReserveDescriptorToRefuseWith() { Spare().Reserve(); }

}  // namespace groupnorm

// As in accept4(2), except that a connection that cannot be taken is no error:
// those that there is no descriptor for are refused, those that are over are
// passed by, and EAGAIN is returned once none waits.
extern "C" int accept4(int listener, sockaddr* address, socklen_t* length,
                       int flags) {
  using groupnorm::AcceptFailure;
  for (int i = 0; i < groupnorm::kMostAtOnce; ++i) {
    const auto connection = static_cast<int>(
        ::syscall(SYS_accept4, listener, address, length, flags));
    if (connection >= 0) return connection;
    const AcceptFailure failure = groupnorm::AcceptFailureOf(errno);
    if (failure == AcceptFailure::kFinal) return -1;
    const bool others_may_wait = failure == AcceptFailure::kOfOneConnection ||
                                 (failure == AcceptFailure::kOutOfDescriptors &&
                                  groupnorm::Spare().RefuseNext(listener));
    if (!others_may_wait) break;
  }
  errno = EAGAIN;
  return -1;
}
