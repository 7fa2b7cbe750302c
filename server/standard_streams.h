#ifndef GROUPNORM_SERVER_STANDARD_STREAMS_H_
#define GROUPNORM_SERVER_STANDARD_STREAMS_H_

namespace groupnorm {

/// Takes the places of standard input, output and error where the process was
/// started without them (`2>&-`). Otherwise the next file or socket that is
/// opened gets that number, and messages go into it. Using one still fails, as
/// it does without. To be called first in main().
void ReserveStandardStreams();

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_STANDARD_STREAMS_H_
