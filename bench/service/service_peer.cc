// A server to measure groupnorm-server beside; bench/compare_service.py starts
// it, and kills it at the end.

#include <grpcpp/grpcpp.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "bench/service/servers.h"
#include "tensor/process_memory.h"

namespace groupnorm::bench {

namespace {

int Main(int argc, char** argv) {
  CLI::App app(
      "Serves Forward as a peer of groupnorm-server until it is killed.");
  std::string kind;
  std::string address = "127.0.0.1:0";
  std::size_t response_bytes = 0;
  EchoLayout layout;
  app.add_option("kind", kind,
                 "echo, generated (as people write it) or tuned (with "
                 "messages that are used again)")
      ->required()
      ->check(CLI::IsMember({"echo", "generated", "tuned"}));
  app.add_option("--listen", address, "As of groupnorm-server")
      ->capture_default_str();
  app.add_option("--response-bytes", response_bytes,
                 "Of every reply of an echo");
  app.add_option("--queues", layout.queues, "Completion queues of an echo")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  app.add_option("--threads-per-queue", layout.threads_per_queue,
                 "Threads that serve each queue of an echo")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  CLI11_PARSE(app, argc, argv);

  if (kind != "generated") KeepFreedMemory();
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(-1);
  builder.SetMaxSendMessageSize(-1);
  int port = 0;
  builder.AddListeningPort(address, grpc::InsecureServerCredentials(), &port);
  const auto on_started = [&address, &port] {
    if (port == 0) {
      std::fprintf(stderr, "service_peer: --listen: %s cannot be bound\n",
                   address.c_str());
      std::_Exit(EXIT_FAILURE);
    }
    const std::string bound =
        address.ends_with(":0")
            ? absl::StrCat(absl::StripSuffix(address, "0"), port)
            : address;
    std::printf("service_peer listening on %s\n", bound.c_str());
    std::fflush(stdout);
  };
  if (kind == "echo") {
    ServeEcho(builder, layout, response_bytes, on_started);
  } else if (kind == "generated") {
    ServeGenerated(builder, on_started);
  } else {
    ServeTuned(builder, on_started);
  }
  return EXIT_SUCCESS;
}

}  // namespace

}  // namespace groupnorm::bench

int main(int argc, char** argv) { return groupnorm::bench::Main(argc, argv); }
