#ifndef GROUPNORM_TESTS_UNIT_SERVER_STAND_INS_H_
#define GROUPNORM_TESTS_UNIT_SERVER_STAND_INS_H_

#include "server/open_streams.h"

namespace groupnorm {

/// Their addresses stand for two connections.
inline const int kOwn = 0;
inline const int kOther = 0;

/// Stands for a stream of a service. Counts the phases that it is told of.
class CountingStream : public OpenStream {
 public:
  void OnPhase() override { ++told_; }
  int told() const { return told_; }

 private:
  int told_ = 0;
};

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_SERVER_STAND_INS_H_
