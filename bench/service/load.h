#ifndef GROUPNORM_BENCH_SERVICE_LOAD_H_
#define GROUPNORM_BENCH_SERVICE_LOAD_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "bench/service/forward_case.h"

namespace groupnorm::bench {

/// Makes the call of a ForwardCase over one connection in a closed loop: each
/// of a number of calls in flight is followed by the next one.
class Load {
 public:
  virtual ~Load() = default;

  /// Makes one call; fails unless its response is the right one.
  virtual absl::Status Check() = 0;

  /// Starts no call after `end`, but as many as are in flight in any case, and
  /// waits for all. The seconds that each took; the first error ends it.
  virtual absl::StatusOr<std::vector<double>> Run(absl::Time end) = 0;
};

/// Bytes that are there already to bytes that nobody looks at: what moving them
/// costs. One thread and one completion queue for all calls.
std::unique_ptr<Load> MakeRawLoad(const std::string& address, int in_flight,
                                  const ForwardCase& forward);

/// The client library of groupnorm, from an array and to one. This and the
/// following have a thread for each call in flight.
std::unique_ptr<Load> MakeLibraryLoad(const std::string& address, int in_flight,
                                      const ForwardCase& forward);

/// A generated client as people write it: new messages for each call, filled
/// from an array, and the response copied to one.
std::unique_ptr<Load> MakeGeneratedLoad(const std::string& address,
                                        int in_flight,
                                        const ForwardCase& forward);

/// The same with messages that are used again.
std::unique_ptr<Load> MakeTunedLoad(const std::string& address, int in_flight,
                                    const ForwardCase& forward);

}  // namespace groupnorm::bench

#endif  // GROUPNORM_BENCH_SERVICE_LOAD_H_
