#ifndef GROUPNORM_TENSOR_PROCESS_MEMORY_H_
#define GROUPNORM_TENSOR_PROCESS_MEMORY_H_

namespace groupnorm {

/// Sets glibc's allocator up for messages of many megabytes: it keeps freed
/// memory for the next one. To be called first in main(), before any thread. It
/// changes the whole process, so a library never calls it on its own. Does
/// nothing with other C libraries.
///
/// gRPC frees the slices of a message in bulk. By default glibc then gives
/// their pages back to the kernel, and the next message faults them in again,
/// one by one, which costs more than the arithmetic: keeping them makes large
/// calls 1.3 to 1.7 times as fast. The price: the process keeps the most memory
/// that it ever needed.
void KeepFreedMemory();

}  // namespace groupnorm

#endif  // GROUPNORM_TENSOR_PROCESS_MEMORY_H_
