#ifndef GROUPNORM_TUNE_PROCESS_MEMORY_H_
#define GROUPNORM_TUNE_PROCESS_MEMORY_H_

namespace groupnorm {

/// Makes the C library keep freed memory instead of returning it to the
/// kernel, for the whole process.
///
/// gRPC receives a large message in many small blocks and frees them at once;
/// by default the C library then gives the pages back, and the next message
/// pays for page faults again, which can take longer than the call itself. The
/// price: the process keeps the most memory that it ever needed.
///
/// Opt-in, since it is the program's decision, not a library's: call it first
/// thing in main, before other threads run. Does nothing where the C library is
/// not glibc.
void TuneProcessMemory();

}  // namespace groupnorm

#endif  // GROUPNORM_TUNE_PROCESS_MEMORY_H_
