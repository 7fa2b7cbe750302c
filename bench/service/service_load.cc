// Measures calls of one kind: each number that it reads is the seconds to make
// calls for, and is answered by a line of JSON; bench/compare_service.py asks
// several of them in turn.

#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "bench/service/load.h"
#include "groupnorm/tune_process_memory.h"

namespace groupnorm::bench {

namespace {

using MakeLoad = std::unique_ptr<Load> (*)(const std::string& address,
                                           int in_flight,
                                           const ForwardCase& forward);

const std::map<std::string, MakeLoad> kKinds = {
    {"raw", &MakeRawLoad},
    {"library", &MakeLibraryLoad},
    {"generated", &MakeGeneratedLoad},
    {"tuned", &MakeTunedLoad}};

double Seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) +
         1e-6 * static_cast<double>(time.tv_usec);
}

rusage Usage() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return usage;
}

double CpuSeconds() {
  const rusage usage = Usage();
  return Seconds(usage.ru_utime) + Seconds(usage.ru_stime);
}

double Quantile(const std::vector<double>& ordered, double fraction) {
  const auto last = static_cast<double>(ordered.size() - 1);
  return ordered[static_cast<std::size_t>(std::llround(fraction * last))];
}

absl::Status Measure(Load& load, absl::Duration time) {
  const double cpu_before = CpuSeconds();
  const absl::Time start = absl::Now();
  absl::StatusOr<std::vector<double>> seconds = load.Run(start + time);
  if (!seconds.ok()) return seconds.status();
  const double wall = absl::ToDoubleSeconds(absl::Now() - start);
  std::sort(seconds->begin(), seconds->end());
  absl::PrintF(
      "{\"calls\": %d, \"seconds\": %.6f, \"latency_p50\": %.7f, "
      "\"latency_p99\": %.7f, \"cpu_seconds\": %.6f, \"peak_bytes\": %d}\n",
      seconds->size(), wall, Quantile(*seconds, 0.5), Quantile(*seconds, 0.99),
      CpuSeconds() - cpu_before, Usage().ru_maxrss * 1024);
  std::fflush(stdout);
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app("Calls a server as often as it can, for as long as it is told.");
  std::string kind;
  std::string address = "127.0.0.1:50051";
  std::size_t tensor_bytes = 0;
  int in_flight = 1;
  bool print_response_bytes = false;
  app.add_option(
         "kind", kind,
         "raw (against an echo), library, generated or tuned (generated "
         "with messages that are used again)")
      ->required()
      ->check(CLI::IsMember(&kKinds));
  app.add_option("--address", address, "Of the server")->capture_default_str();
  app.add_option("--tensor-bytes", tensor_bytes, "Of the input of each call")
      ->required()
      ->check([](const std::string& text) {
        const std::size_t bytes = std::strtoull(text.c_str(), nullptr, 10);
        return bytes > 0 && bytes % ForwardCase::kTensorGrain == 0
                   ? std::string()
                   : absl::StrFormat("%s, expected a multiple of %d", text,
                                     ForwardCase::kTensorGrain);
      });
  app.add_option("--in-flight", in_flight, "Calls at the same time")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  app.add_flag("--print-response-bytes", print_response_bytes,
               "Call nobody, but say how large a response is: for an echo");
  CLI11_PARSE(app, argc, argv);

  if (kind != "generated") TuneProcessMemory();
  const ForwardCase forward = ForwardCase::Of(tensor_bytes);
  if (print_response_bytes) {
    absl::PrintF("%d\n", forward.response.ByteSizeLong());
    return EXIT_SUCCESS;
  }
  const std::unique_ptr<Load> load =
      kKinds.at(kind)(address, in_flight, forward);
  absl::Status status = load->Check();
  if (status.ok()) {
    std::puts("{}");
    std::fflush(stdout);
  }
  for (double seconds = 0; status.ok() && std::cin >> seconds;) {
    status = Measure(*load, absl::Seconds(seconds));
  }
  if (status.ok()) return EXIT_SUCCESS;
  std::fprintf(stderr, "service_load: %s\n", status.ToString().c_str());
  // Calls may still be under way.
  std::_Exit(EXIT_FAILURE);
}

}  // namespace

}  // namespace groupnorm::bench

int main(int argc, char** argv) { return groupnorm::bench::Main(argc, argv); }
