#ifndef GROUPNORM_TESTS_UNIT_SERVER_STAND_INS_H_
#define GROUPNORM_TESTS_UNIT_SERVER_STAND_INS_H_

#include "absl/status/status.h"
#include "server/open_streams.h"

namespace groupnorm {

/// Their addresses stand for two connections.
inline const int kOwn = 0;
inline const int kOther = 0;

/// Stands for a stream of a service. Counts the phases that it is told of, and
/// keeps the status that it was displaced with.
class CountingStream : public OpenStream {
 public:
  void OnPhase() override { ++told_; }
  void OnDisplaced(const absl::Status& status) override { displaced_ = status; }
  int told() const { return told_; }
  const absl::Status& displaced() const { return displaced_; }

 private:
  int told_ = 0;
  absl::Status displaced_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_SERVER_STAND_INS_H_
