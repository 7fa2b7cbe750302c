#include "request_bodies.h"

namespace groupnorm {

using wire_bytes::Delimited;
using wire_bytes::DoubleField;
using wire_bytes::VarintField;

namespace {

std::string Field(std::uint64_t number,
                  const std::optional<std::string>& body) {
  return body.has_value() ? Delimited(number, *body) : std::string();
}

}  // namespace

std::string ForwardBytes(const Bodies& bodies) {
  return Field(1, bodies.config) + Field(2, bodies.weight) +
         Field(3, bodies.bias) + Field(4, bodies.statistics) +
         Field(15, bodies.input) + bodies.other_fields;
}

std::string BackwardBytes(const Bodies& bodies) {
  return Field(1, bodies.config) + Field(2, bodies.weight) +
         Field(3, bodies.statistics) + Field(14, bodies.grad_output) +
         Field(15, bodies.input) + bodies.other_fields;
}

std::string Statistics(const std::string& mean, const std::string& rstd) {
  return Delimited(1, mean) + Delimited(2, rstd);
}

std::string WithEpsilon(double epsilon) {
  return VarintField(1, 3) + DoubleField(2, epsilon);
}

}  // namespace groupnorm
