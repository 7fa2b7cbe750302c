#ifndef GROUPNORM_TESTS_LOAD_LOAD_H_
#define GROUPNORM_TESTS_LOAD_LOAD_H_

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "groupnorm/v1/groupnorm.pb.h"
#include "server/options.h"
#include "tests/testing/server_process.h"

/// What the load programs share. Each prints its figures, and runs in one of
/// two sizes: briefly, as part of every test run, or in full where the
/// environment says GROUPNORM_LOAD=full.
namespace groupnorm::load {

/// The number for the size that runs.
int Size(int full, int brief);

/// Whether times and speeds say anything: not in the brief size, nor under
/// sanitizers.
bool TimesAreMeasurable();

/// The flags of a server on a free port with the workers and the bounds of
/// `options`, which has no defaults left to choose.
std::vector<std::string> FlagsOf(const ServerOptions& options);

/// Lets this process and those that it starts have as many files open as the
/// machine allows.
void RaiseDescriptorLimit();

/// Prints a line `load: <test's name>: <text>`.
void Print(const std::string& text);

double Mebibytes(std::int64_t bytes);

/// Threads that all run `body(index)`; joined when destroyed.
class Threads {
 public:
  Threads(int count, const std::function<void(int)>& body);
  ~Threads() { Join(); }
  void Join();

 private:
  std::vector<std::thread> threads_;
};

/// Good calls on a connection of their own, from its own thread until it is
/// stopped, beside whatever the test does: each is expected to give the bits of
/// the first, which has been made when the constructor returns.
class GoodCalls {
 public:
  /// `request` is sent as Forward to `address`.
  GoodCalls(const std::string& address, const v1::ForwardRequest& request);
  ~GoodCalls() { Stop(); }

  /// Ends the last call, and returns how many there were.
  int Stop();

  /// Until so many more have succeeded.
  void Await(int more);

 private:
  std::string Call();
  void Run();

  const std::shared_ptr<grpc::Channel> channel_;
  const v1::ForwardRequest request_;
  const std::string first_;
  absl::Mutex mutex_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  int count_ ABSL_GUARDED_BY(mutex_) = 0;
  std::thread thread_;
};

/// A FLOAT32 Forward of this many bytes, 4,096 at least: [1, 32, n] in 32
/// groups.
v1::ForwardRequest RequestOfBytes(std::int64_t bytes);

}  // namespace groupnorm::load

#endif  // GROUPNORM_TESTS_LOAD_LOAD_H_
