#include <memory>
#include <utility>

#include "kernels/group_norm.h"
#include "server/execution.h"
#include "server/gather.h"
#include "server/operand_buffers.h"
#include "server/prepare.h"
#include "wire/response.h"

namespace groupnorm {
namespace {

ForwardProblem ProblemOf(const ForwardRequest& request) {
  return {.geometry = request.geometry,
          .dtype = request.input.dtype,
          .epsilon = request.epsilon,
          .statistics_given = request.statistics.has_value()};
}

// The tensors of the response, without their memory.
ForwardResponseTensors ResponseOf(const ForwardRequest& request) {
  const Shape statistics = StatisticsShape(request.geometry);
  return {.mean = {DataType::kFloat64, statistics},
          .rstd = {DataType::kFloat64, statistics},
          .output = {request.input.dtype, request.input.shape}};
}

class ForwardExecution final : public Execution {
 public:
  ForwardExecution(const ForwardRequest& request, MessageSlices message,
                   BufferPool& pool, std::function<void()> gathered)
      : response_(ResponseOf(request)),
        input_(pool.Take(request.input.data.size)),
        weight_(TakeParameter(request.geometry, pool)),
        bias_(TakeParameter(request.geometry, pool)),
        mean_(pool.Take(response_.mean.size_bytes())),
        rstd_(pool.Take(response_.rstd.size_bytes())),
        output_(pool.Take(response_.output.size_bytes())),
        scratch_(pool.Take(ForwardScratchBytes(ProblemOf(request)))) {
    auto gather =
        std::make_unique<Gather>(std::move(message), std::move(gathered));
    gather->AddElements(request.input, input_.data());
    AddParameter(request.weight, 1.0, weight_, *gather);
    AddParameter(request.bias, 0.0, bias_, *gather);
    if (request.statistics.has_value()) {
      gather->AddDoubles(request.statistics->mean, Doubles(mean_));
      gather->AddDoubles(request.statistics->rstd, Doubles(rstd_));
    }
    AddStage(std::move(gather));
    AddStage(MakeForward(ProblemOf(request), {.input = input_.data(),
                                              .weight = Doubles(weight_).data(),
                                              .bias = Doubles(bias_).data(),
                                              .mean = Doubles(mean_).data(),
                                              .rstd = Doubles(rstd_).data(),
                                              .output = output_.data(),
                                              .scratch = scratch_.data()}));
    response_.mean.data = mean_.data();
    response_.rstd.data = rstd_.data();
  }

  grpc::ByteBuffer TakeResponse() override {
    return EncodeForwardResponse(response_, std::move(output_));
  }

 private:
  ForwardResponseTensors response_;
  Buffer input_, weight_, bias_, mean_, rstd_, output_, scratch_;
};

}  // namespace

absl::StatusOr<std::int64_t> ForwardMemoryBytes(const ForwardRequest& request,
                                                const RequestLimits& limits) {
  const ForwardResponseTensors response = ResponseOf(request);
  const std::int64_t response_bytes = EncodedBytes(response);
  if (absl::Status status = CheckResponse(response_bytes, limits);
      !status.ok()) {
    return status;
  }
  // The response bounds the output, so the input, so everything else.
  const auto output_bytes =
      static_cast<std::int64_t>(response.output.size_bytes());
  const std::int64_t parameter = ParameterLength(request.geometry);
  const std::int64_t statistics = response.mean.shape.num_elements();
  RequestBudget budget;
  budget.AddBuffers(2, output_bytes, 1);  // The input has the same size.
  budget.AddBuffers(2, parameter, sizeof(double));
  budget.AddBuffers(2, statistics, sizeof(double));
  budget.AddBuffers(
      1, static_cast<std::int64_t>(ForwardScratchBytes(ProblemOf(request))), 1);
  // The message holds the statistics once more; the output is not copied.
  budget.Add(response_bytes - output_bytes);
  return CheckMemory(budget, limits);
}

absl::StatusOr<PreparedRequest> PrepareForward(MessageSlices message,
                                               const RequestLimits& limits) {
  return Prepare<ForwardExecution>(&DecodeForwardRequest, &ForwardMemoryBytes,
                                   std::move(message), limits);
}

}  // namespace groupnorm
