#include "groupnorm/tune_process_memory.h"

#include "tensor/process_memory.h"

namespace groupnorm {

void TuneProcessMemory() { KeepFreedMemory(); }

}  // namespace groupnorm
