#ifndef GROUPNORM_SERVER_PROCESS_MEMORY_H_
#define GROUPNORM_SERVER_PROCESS_MEMORY_H_

namespace groupnorm {

/// Sets glibc's allocator up for messages of many megabytes; call it first in
/// main(), before any thread. It changes the whole process, so the library
/// itself never does. Does nothing with other allocators.
///
/// gRPC frees the slices of a message in bulk. By default glibc then gives
/// their pages back to the kernel, and the next message faults them in again,
/// one by one, which costs more than the arithmetic: keeping them makes large
/// calls 1.3 to 1.7 times as fast.
void KeepFreedMemory();

}  // namespace groupnorm

#endif  // GROUPNORM_SERVER_PROCESS_MEMORY_H_
