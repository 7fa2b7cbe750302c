#include "server/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <initializer_list>

namespace groupnorm {

void ReserveStandardStreams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(stream, F_GETFD) >= 0) continue;
    // Takes the lowest number that is free, which is this one. For the wrong
    // direction, so that a full disk and a missing stream end alike.
    const int mode = stream == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (open("/dev/null", mode) < 0) return;
  }
}

}  // namespace groupnorm
