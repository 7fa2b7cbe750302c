#include <memory>
#include <utility>

#include "kernels/group_norm.h"
#include "server/execution.h"
#include "server/gather.h"
#include "server/operand_buffers.h"
#include "server/prepare.h"
#include "server/rounding.h"
#include "wire/response.h"

namespace groupnorm {
namespace {

BackwardProblem ProblemOf(const BackwardRequest& request) {
  return {.geometry = request.geometry,
          .dtype = request.input.dtype,
          .epsilon = request.epsilon,
          .statistics_given = request.statistics.has_value(),
          .frozen_statistics = request.frozen_statistics,
          .per_sample_gradients = request.per_sample_gradients,
          .want_grad_input = request.want_grad_input,
          .want_grad_weight = request.want_grad_weight,
          .want_grad_bias = request.want_grad_bias};
}

// The tensors of the response, without their memory.
BackwardResponseTensors ResponseOf(const BackwardRequest& request) {
  const GroupGeometry& geometry = request.geometry;
  const TensorView parameter = {request.parameter_gradient_dtype(),
                                request.per_sample_gradients
                                    ? Shape{geometry.batch, geometry.channels}
                                    : Shape{geometry.channels}};
  BackwardResponseTensors response;
  if (request.want_grad_weight) response.grad_weight = parameter;
  if (request.want_grad_bias) response.grad_bias = parameter;
  if (request.want_grad_input) {
    response.grad_input = {request.input.dtype, request.input.shape};
  }
  return response;
}

// A parameter's gradient on its way from the kernels, in float64, to the
// response. Empty where it is not wanted.
struct ParameterGradient {
  ParameterGradient(std::optional<TensorView>& sent, BufferPool& pool) {
    if (!sent.has_value()) return;
    const auto count = static_cast<std::size_t>(sent->shape.num_elements());
    values = pool.Take(count * sizeof(double));
    if (sent->dtype != DataType::kFloat64) {
      rounded = pool.Take(sent->size_bytes());
    }
    sent->data = rounded.size() > 0 ? rounded.data() : values.data();
  }

  Buffer values;
  Buffer rounded;  // Empty where FLOAT64 is sent.
};

// What `sent` takes as a ParameterGradient.
void AddParameterGradient(const std::optional<TensorView>& sent,
                          RequestBudget& budget) {
  if (!sent.has_value()) return;
  budget.AddBuffers(1, sent->shape.num_elements(), sizeof(double));
  if (sent->dtype != DataType::kFloat64) {
    budget.AddBuffers(1, static_cast<std::int64_t>(sent->size_bytes()), 1);
  }
}

std::size_t GradInputBytes(const BackwardResponseTensors& response) {
  return response.grad_input.has_value() ? response.grad_input->size_bytes()
                                         : 0;
}

std::size_t StatisticsBytes(const BackwardRequest& request) {
  if (!request.statistics.has_value()) return 0;
  return static_cast<std::size_t>(
             StatisticsShape(request.geometry).num_elements()) *
         sizeof(double);
}

class BackwardExecution final : public Execution {
 public:
  BackwardExecution(const BackwardRequest& request, MessageSlices message,
                    BufferPool& pool, std::function<void()> gathered)
      : response_(ResponseOf(request)),
        input_(pool.Take(request.input.data.size)),
        grad_output_(pool.Take(request.grad_output.data.size)),
        weight_(TakeParameter(request.geometry, pool)),
        mean_(pool.Take(StatisticsBytes(request))),
        rstd_(pool.Take(StatisticsBytes(request))),
        grad_input_(pool.Take(GradInputBytes(response_))),
        grad_weight_(response_.grad_weight, pool),
        grad_bias_(response_.grad_bias, pool),
        scratch_(pool.Take(BackwardScratchBytes(ProblemOf(request)))) {
    AddGather(request, std::move(message), std::move(gathered));
    AddStage(MakeBackward(ProblemOf(request),
                          {.input = input_.data(),
                           .grad_output = grad_output_.data(),
                           .weight = Doubles(weight_).data(),
                           .mean = Doubles(mean_).data(),
                           .rstd = Doubles(rstd_).data(),
                           .grad_input = grad_input_.data(),
                           .grad_weight = Doubles(grad_weight_.values).data(),
                           .grad_bias = Doubles(grad_bias_.values).data(),
                           .scratch = scratch_.data()}));
    auto rounding =
        std::make_unique<Rounding>(request.parameter_gradient_dtype());
    for (ParameterGradient* gradient : {&grad_weight_, &grad_bias_}) {
      if (gradient->rounded.size() > 0) {
        rounding->Add(Doubles(gradient->values), gradient->rounded.data());
      }
    }
    AddStage(std::move(rounding));
  }

  grpc::ByteBuffer TakeResponse() override {
    return EncodeBackwardResponse(response_, std::move(grad_input_));
  }

 private:
  void AddGather(const BackwardRequest& request, MessageSlices message,
                 std::function<void()> gathered) {
    auto gather =
        std::make_unique<Gather>(std::move(message), std::move(gathered));
    gather->AddElements(request.grad_output, grad_output_.data());
    gather->AddElements(request.input, input_.data());
    AddParameter(request.weight, 1.0, weight_, *gather);
    if (request.statistics.has_value()) {
      gather->AddDoubles(request.statistics->mean, Doubles(mean_));
      gather->AddDoubles(request.statistics->rstd, Doubles(rstd_));
    }
    AddStage(std::move(gather));
  }

  BackwardResponseTensors response_;
  Buffer input_, grad_output_, weight_, mean_, rstd_, grad_input_;
  ParameterGradient grad_weight_, grad_bias_;
  Buffer scratch_;
};

}  // namespace

absl::StatusOr<std::int64_t> BackwardMemoryBytes(const BackwardRequest& request,
                                                 const RequestLimits& limits) {
  const BackwardResponseTensors response = ResponseOf(request);
  const std::int64_t response_bytes = EncodedBytes(response);
  if (absl::Status status = CheckResponse(response_bytes, limits);
      !status.ok()) {
    return status;
  }
  // The response bounds the gradients, the message what it gives.
  const auto grad_input_bytes =
      static_cast<std::int64_t>(GradInputBytes(response));
  RequestBudget budget;
  budget.AddBuffers(2, static_cast<std::int64_t>(request.input.data.size), 1);
  budget.AddBuffers(1, ParameterLength(request.geometry), sizeof(double));
  budget.AddBuffers(2, static_cast<std::int64_t>(StatisticsBytes(request)), 1);
  budget.AddBuffers(1, grad_input_bytes, 1);
  AddParameterGradient(response.grad_weight, budget);
  AddParameterGradient(response.grad_bias, budget);
  budget.AddBuffers(
      1, static_cast<std::int64_t>(BackwardScratchBytes(ProblemOf(request))),
      1);
  // The message holds the parameters' gradients once more; grad_input is not
  // copied.
  budget.Add(response_bytes - grad_input_bytes);
  return CheckMemory(budget, limits);
}

absl::StatusOr<PreparedRequest> PrepareBackward(MessageSlices message,
                                                const RequestLimits& limits) {
  return Prepare<BackwardExecution>(
      &DecodeBackwardRequest, &BackwardMemoryBytes, std::move(message), limits);
}

}  // namespace groupnorm
