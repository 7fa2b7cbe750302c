#include <memory>
#include <utility>

#include "kernels/group_norm.h"
#include "server/execution.h"
#include "server/gather.h"
#include "server/operand_buffers.h"
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

absl::Status CheckForwardNeeds(const ForwardRequest& request,
                               const RequestLimits& limits) {
  const ForwardResponseTensors response = ResponseOf(request);
  const std::int64_t response_bytes = EncodedBytes(response);
  const std::int64_t output_bytes =
      static_cast<std::int64_t>(response.output.size_bytes());
  RequestBudget budget;
  budget.Add(2, output_bytes);  // The input has the size of the output.
  budget.Add(2 * ParameterLength(request.geometry), sizeof(double));
  budget.Add(2 * response.mean.shape.num_elements(), sizeof(double));
  // The message holds the statistics once more; the output is not copied.
  budget.Add(response_bytes - output_bytes, 1);
  if (absl::Status status = CheckLimits(response_bytes, budget, limits);
      !status.ok()) {
    return status;
  }
  // Bounded by the input's size, which is known to be within the limits now.
  budget.Add(static_cast<std::int64_t>(ForwardScratchBytes(ProblemOf(request))),
             1);
  return CheckLimits(response_bytes, budget, limits);
}

absl::StatusOr<std::unique_ptr<Execution>> PrepareForward(
    MessageSlices message, const RequestLimits& limits, BufferPool& pool,
    std::function<void()> gathered) {
  const absl::StatusOr<ForwardRequest> request = DecodeForwardRequest(message);
  if (!request.ok()) return request.status();
  if (absl::Status status = CheckForwardNeeds(*request, limits); !status.ok()) {
    return status;
  }
  return std::make_unique<ForwardExecution>(*request, std::move(message), pool,
                                            std::move(gathered));
}

}  // namespace groupnorm
