#include "groupnorm/tune_process_memory.h"

#include <cstdlib>  // Defines __GLIBC__.
#include <limits>

#if defined(__GLIBC__)
#include <malloc.h>
#endif

namespace groupnorm {

void TuneProcessMemory() {
#if defined(__GLIBC__)
  // A larger block is mapped on its own, and unmapped when freed.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  // More free memory at the top of the heap is returned.
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  // The heap grows in such steps.
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace groupnorm
