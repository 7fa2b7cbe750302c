#ifndef GROUPNORM_TESTS_FUZZ_OPERAND_VALUES_H_
#define GROUPNORM_TESTS_FUZZ_OPERAND_VALUES_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "groupnorm/tensor_view.h"
#include "kernels/reference/reference.h"
#include "wire/message_slices.h"
#include "wire/request.h"
#include "wire/tensor_payload.h"

/// A request's tensors as the reference takes them.
namespace groupnorm::fuzz {

/// A copy of a tensor in a message.
class OwnedTensor {
 public:
  OwnedTensor(const MessageSlices& message, const TensorPayload& payload);

  TensorView view() const { return {dtype_, shape_, bytes_.data()}; }
  std::vector<double> values() const;

 private:
  DataType dtype_;
  Shape shape_;
  std::vector<std::byte> bytes_;
};

/// The operands of an accepted request.
class Operands {
 public:
  Operands(const ForwardRequest& request, const MessageSlices& message);
  Operands(const BackwardRequest& request, const MessageSlices& message);

  /// Whether the values are ones for which docs/math.md gives a bound, and the
  /// problem is small enough for the reference.
  bool HaveBounds() const;

  /// Whether the bound of grad_weight holds, too. Not where a narrow input
  /// whose own statistics are taken has exponents so far apart that sums of it
  /// are inexact: docs/math.md, "Error of dweight".
  bool HaveGradWeightBound() const;

  /// What the reference takes. Valid as long as this object.
  reference::ForwardInputs Forward() const;
  reference::BackwardInputs Backward() const;

 private:
  template <typename Inputs>
  Inputs Common() const;

  GroupGeometry geometry_;
  double epsilon_;
  bool frozen_statistics_ = false;
  bool per_sample_gradients_ = false;
  OwnedTensor input_;
  std::optional<OwnedTensor> grad_output_, weight_, bias_, mean_, rstd_;
};

/// The first wrong value, for a person to read.
std::string DescribeWrong(const std::string& name,
                          const reference::Expected& expected,
                          const reference::Comparison& comparison,
                          const TensorView& actual);

}  // namespace groupnorm::fuzz

#endif  // GROUPNORM_TESTS_FUZZ_OPERAND_VALUES_H_
