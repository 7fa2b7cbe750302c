#include "client/cli/bench_command.h"

#include <CLI/Error.hpp>
#include <CLI/Option.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/cli/activity_line.h"
#include "client/cli/bench/load.h"
#include "client/cli/client_session.h"
#include "client/cli/flag_checks.h"
#include "client/cli/operands.h"
#include "client/cli/progress_line.h"
#include "client/cli/verify/values.h"
#include "tensor/group_geometry.h"

namespace groupnorm::cli {

namespace {

using nlohmann::ordered_json;

constexpr char kForward[] = "forward";
constexpr char kBackward[] = "backward";

// Connections, pools and processors are warm by then.
constexpr absl::Duration kWarmUp = absl::Seconds(1);

// An open loop rides out bursts up to this by default.
constexpr int kOpenLoopInFlight = 64;
constexpr int kMaxInFlight = 4096;
constexpr double kMinRate = 1e-3;
constexpr double kMaxRate = 1e6;

struct BenchFlags {
  std::string operation = kForward;
  std::vector<Shape> shapes;
  std::vector<DataType> dtypes;
  std::int64_t num_groups = 32;
  Layout layout = Layout::kChannelsFirst;
  std::optional<int> in_flight;
  std::optional<double> rate;
  absl::Duration duration = absl::Seconds(10);
  bool json = false;
  ConnectionFlags connection;

  bool backward() const { return operation == kBackward; }
  bench::LoadOptions load() const {
    return {.in_flight = in_flight.value_or(rate ? kOpenLoopInFlight : 1),
            .rate = rate,
            .warm_up = std::min(kWarmUp, duration / 5),
            .duration = duration};
  }
};

/// The tensors of one run: what all its calls send, and where each of those in
/// flight puts its results.
class Workload {
 public:
  Workload(const BenchFlags& flags, DataType dtype, const Shape& shape)
      : flags_(flags),
        input_(verify::MakeGradOutput(dtype, shape, /*seed=*/1)),
        grad_output_(verify::MakeGradOutput(dtype, shape, /*seed=*/2)) {
    const Shape channels = {ChannelExtent(shape, flags.layout)};
    for (int slot = 0; slot < flags.load().in_flight; ++slot) {
      Results& results = results_.emplace_back(
          Results{OwnedTensor(dtype, shape), std::nullopt, std::nullopt});
      if (!flags.backward()) continue;
      results.grad_weight.emplace(dtype, channels);
      results.grad_bias.emplace(dtype, channels);
    }
  }

  /// Bytes of the large tensors of a call, sent and received.
  double bytes() const {
    return static_cast<double>(input_.bytes.size()) *
           (flags_.backward() ? 3 : 2);
  }

  AsyncCall Start(Client& client, int slot, Client::Callback done) {
    Results& results = results_[static_cast<std::size_t>(slot)];
    if (!flags_.backward()) {
      return client.ForwardAsync({.input = input_.view(),
                                  .num_groups = flags_.num_groups,
                                  .layout = flags_.layout},
                                 {.output = results.tensor.data()},
                                 std::move(done));
    }
    return client.BackwardAsync({.grad_output = grad_output_.view(),
                                 .input = input_.view(),
                                 .num_groups = flags_.num_groups,
                                 .layout = flags_.layout},
                                {.grad_input = results.tensor.data(),
                                 .grad_weight = results.grad_weight->data(),
                                 .grad_bias = results.grad_bias->data()},
                                std::move(done));
  }

 private:
  struct Results {
    OwnedTensor tensor;  ///< output, or grad_input.
    std::optional<OwnedTensor> grad_weight;
    std::optional<OwnedTensor> grad_bias;
  };

  const BenchFlags& flags_;
  const verify::TensorData input_;
  const verify::TensorData grad_output_;
  std::vector<Results> results_;
};

/// What is printed of one element type and shape.
struct Run {
  DataType dtype;
  Shape shape;
  double bytes_per_call;
  bench::LoadResult result;

  double calls_per_second() const {
    return static_cast<double>(result.latencies.count()) /
           absl::ToDoubleSeconds(result.elapsed);
  }
  double gb_per_second() const {
    return calls_per_second() * bytes_per_call / 1e9;
  }
};

constexpr std::pair<const char*, double> kPercentiles[] = {
    {"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}};

void PrintText(const BenchFlags& flags, const Run& run) {
  const bench::LoadOptions load = flags.load();
  absl::PrintF(
      "%s %s %s, %d groups, %s%d in flight, %s\n", flags.operation,
      DataTypeName(run.dtype), run.shape.ToString(), flags.num_groups,
      load.rate ? absl::StrFormat("%g calls/s, at most ", *load.rate) : "",
      load.in_flight, absl::FormatDuration(load.duration));
  absl::PrintF("calls    %d (%.1f/s), %d failed, %d not sent\n",
               run.result.latencies.count(), run.calls_per_second(),
               run.result.failed, run.result.unsent);
  absl::PrintF("tensors  %.3f GB/s sent and received\nlatency ",
               run.gb_per_second());
  for (const auto& [name, percent] : kPercentiles) {
    absl::PrintF(" %s %s ", name,
                 bench::LatencyText(run.result.latencies.Percentile(percent)));
  }
  absl::PrintF(" max %s\n\n%s\n",
               bench::LatencyText(run.result.latencies.max()),
               run.result.latencies.Histogram());
  std::fflush(stdout);
}

ordered_json JsonOf(const BenchFlags& flags, const Run& run) {
  const bench::LoadOptions load = flags.load();
  ordered_json json = {
      {"operation", flags.operation},
      {"dtype", std::string(DataTypeName(run.dtype))},
      {"shape", std::vector<std::int64_t>(run.shape.extents().begin(),
                                          run.shape.extents().end())},
      {"num_groups", flags.num_groups},
      {"in_flight", load.in_flight},
      {"rate", load.rate ? ordered_json(*load.rate) : ordered_json()},
      {"elapsed_seconds", absl::ToDoubleSeconds(run.result.elapsed)},
      {"calls", run.result.latencies.count()},
      {"failed", run.result.failed},
      {"not_sent", run.result.unsent},
      {"calls_per_second", run.calls_per_second()},
      {"gb_per_second", run.gb_per_second()}};
  ordered_json& latency = json["latency_seconds"];
  for (const auto& [name, percent] : kPercentiles) {
    latency[name] =
        absl::ToDoubleSeconds(run.result.latencies.Percentile(percent));
  }
  latency["max"] = absl::ToDoubleSeconds(run.result.latencies.max());
  return json;
}

/// Fails where the very first call does: nothing is worth measuring then.
absl::StatusOr<Run> Measure(const BenchFlags& flags, Client& client,
                            DataType dtype, const Shape& shape) {
  std::optional<ActivityLine> preparing(std::in_place, "making the first call");
  Workload workload(flags, dtype, shape);
  absl::Status first = workload.Start(client, 0, nullptr).Wait();
  preparing.reset();
  if (!first.ok()) return first;
  const bench::LoadOptions load = flags.load();
  ProgressLine line;
  bench::LoadResult result = bench::RunLoad(
      load,
      [&](int slot, Client::Callback done) {
        workload.Start(client, slot, std::move(done));
      },
      [&](std::int64_t answered, absl::Duration since) {
        line.Update([&] {
          return absl::StrFormat(
              "%s %s %s: %.0f s of %.0f s, %d calls", flags.operation,
              DataTypeName(dtype), shape.ToString(),
              absl::ToDoubleSeconds(since),
              absl::ToDoubleSeconds(load.warm_up + load.duration), answered);
        });
      });
  return Run{dtype, shape, workload.bytes(), std::move(result)};
}

Outcome RunBench(BenchFlags flags) {
  flags.connection.max_attempts = 1;  // A second one would hide the first.
  absl::StatusOr<ClientSession> session = ClientSession::Open(flags.connection);
  if (!session.ok()) return OpenFailure(session.status());
  absl::StatusOr<ServerInfo> info = session->client().GetServerInfo();
  if (!info.ok()) return CallFailure(info.status());
  const std::string server =
      flags.connection.embedded ? "within this process" : session->address();
  if (!flags.json) {
    absl::PrintF("server: %s, version %s, %d %s, %s\n\n", server, info->version,
                 info->workers, info->workers == 1 ? "worker" : "workers",
                 info->simd_target);
  }
  ordered_json json = {{"server", server},
                       {"version", info->version},
                       {"workers", info->workers},
                       {"simd_target", info->simd_target},
                       {"runs", ordered_json::array()}};
  absl::Status failure;
  for (const DataType dtype : flags.dtypes) {
    for (const Shape& shape : flags.shapes) {
      const absl::StatusOr<Run> run =
          Measure(flags, session->client(), dtype, shape);
      if (!run.ok()) return CallFailure(run.status());
      failure.Update(run->result.first_failure);
      if (flags.json) {
        json["runs"].push_back(JsonOf(flags, *run));
      } else {
        PrintText(flags, *run);
      }
    }
  }
  if (flags.json) absl::PrintF("%s\n", json.dump(2));
  return failure.ok() ? Outcome{} : CallFailure(failure);
}

Shape ParseShape(const std::string& text) {
  std::vector<std::int64_t> extents;
  for (const std::string& part :
       std::vector<std::string>(absl::StrSplit(text, ','))) {
    std::int64_t extent = 0;
    if (!absl::SimpleAtoi(part, &extent) || extent < 1) extents.clear();
    if (extent < 1) break;
    extents.push_back(extent);
  }
  const absl::StatusOr<Shape> shape = Shape::Create(extents);
  if (!shape.ok() || shape->rank() < 2) {
    throw CLI::ValidationError(
        "--shape",
        absl::StrCat("\"", text, "\", expected extents as in 8,64,56,56"));
  }
  return *shape;
}

/// The names of the element types as flags take them.
std::vector<std::string> DataTypeWords() {
  std::vector<std::string> words;
  words.reserve(kDataTypes.size());
  for (const DataType dtype : kDataTypes) {
    words.push_back(absl::AsciiStrToLower(std::string(DataTypeName(dtype))));
  }
  return words;
}

/// Precondition: one of DataTypeWords().
DataType ParseDataType(const std::string& word) {
  const std::vector<std::string> words = DataTypeWords();
  return kDataTypes[std::find(words.begin(), words.end(), word) -
                    words.begin()];
}

/// A check of an option, which is a number.
std::function<std::string(const std::string&)> Between(double least,
                                                       double most) {
  return [least, most](const std::string& text) {
    double value = 0;
    if (absl::SimpleAtod(text, &value) && value >= least && value <= most) {
      return std::string();
    }
    return absl::StrCat("\"", text, "\", expected ", least, " to ", most);
  };
}

void AddWorkloadFlags(CLI::App& command, BenchFlags& flags) {
  OneOf(*command.add_option("--operation", flags.operation,
                            "What is called. Default: forward"),
        {kForward, kBackward});
  command
      .add_option_function<std::vector<std::string>>(
          "--shape",
          [&flags](const std::vector<std::string>& texts) {
            flags.shapes.clear();
            for (const std::string& text : texts) {
              flags.shapes.push_back(ParseShape(text));
            }
          },
          "Shape of the input, as in 8,64,56,56, the default. Repeated: each "
          "in turn")
      ->type_name("SHAPE")
      ->allow_extra_args(false);
  OneOf(*command
             .add_option_function<std::vector<std::string>>(
                 "--dtype",
                 [&flags](const std::vector<std::string>& words) {
                   flags.dtypes.clear();
                   for (const std::string& word : words) {
                     flags.dtypes.push_back(ParseDataType(word));
                   }
                 },
                 "Element type. Default: float32. Repeated: each in turn")
             ->allow_extra_args(false),
        DataTypeWords());
  command
      .add_option("--num-groups", flags.num_groups,
                  "Number of groups that the channels fall into. Default: 32")
      ->type_name("G")
      ->check(WholeNumberFault);
  AddLayoutFlag(command, flags.layout);
}

void AddLoadFlags(CLI::App& command, BenchFlags& flags) {
  command
      .add_option("--in-flight", flags.in_flight,
                  absl::StrCat("Calls at the same time. Default: 1; with "
                               "--rate, where it is the most, ",
                               kOpenLoopInFlight))
      ->type_name("CALLS")
      ->check(WholeNumberFault)
      ->check(Between(1, kMaxInFlight));
  command
      .add_option("--rate", flags.rate,
                  "Calls a second at fixed instants, from which their "
                  "latencies count. Default: each call follows one before")
      ->type_name("RATE")
      ->check(NumberFault)
      ->check(Between(kMinRate, kMaxRate));
  command
      .add_option_function<std::string>(
          "--duration",
          [&flags](const std::string& text) {
            flags.duration = ParseDuration("--duration", text);
          },
          "Time to measure each, after a fifth of it, at most a second, to "
          "warm up. Default: 10s")
      ->type_name("DURATION");
  command.add_flag("--json", flags.json, "Print one JSON object");
  command.add_flag("--embedded", flags.connection.embedded,
                   "Measure a server within this process, not --server");
}

}  // namespace

void AddBenchCommand(CLI::App& app, Outcome& outcome) {
  CLI::App* const command = app.add_subcommand(
      "bench", "Measures how many calls a server answers, and how soon");
  command->footer(
      "Latency is that of successful calls; none is tried twice.\n"
      "Examples:\n"
      "  groupnorm bench --in-flight 4\n"
      "  groupnorm bench --rate 200 --duration 30s --shape 1,320,64,64\n"
      "  groupnorm bench --embedded --operation backward --dtype float16 "
      "--json");
  const auto flags = std::make_shared<BenchFlags>();
  flags->shapes = {Shape{8, 64, 56, 56}};
  flags->dtypes = {DataType::kFloat32};
  flags->connection.server = ClientOptions().address;
  AddWorkloadFlags(*command, *flags);
  AddLoadFlags(*command, *flags);
  AddConnectionFlags(*command, flags->connection,
                     absl::StrCat("Default: ", flags->connection.server));
  command->callback([flags, &outcome] { outcome = RunBench(*flags); });
}

}  // namespace groupnorm::cli
