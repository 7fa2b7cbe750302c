#include "server/grpc_log.h"

#include <grpc/support/log.h>
#include <spdlog/spdlog.h>

namespace groupnorm {

void LogGrpcAtDebug() {
  gpr_set_log_function([](gpr_log_func_args* entry) {
    spdlog::debug("gRPC {}:{}: {}", entry->file, entry->line, entry->message);
  });
}

}  // namespace groupnorm
