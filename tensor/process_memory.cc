#include "tensor/process_memory.h"

#include <limits>

#ifdef __GLIBC__  // Defined by any standard header.
#include <malloc.h>
#endif

namespace groupnorm {

void KeepFreedMemory() {
#ifdef __GLIBC__
  // No own mapping for a block below 1 GiB: those are unmapped when freed.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  // Never trim the heap, and grow it by 64 MiB at a time.
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace groupnorm
