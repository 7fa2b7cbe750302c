#ifndef GROUPNORM_CLIENT_CLI_VERIFY_VALUES_H_
#define GROUPNORM_CLIENT_CLI_VERIFY_VALUES_H_

#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "client/cli/verify/matrix.h"
#include "client/cli/verify/problem.h"

/// Random tensors, the same on every machine for the same seed.
namespace groupnorm::verify {

/// A source of random numbers. Each cell has its own, so that its values depend
/// on nothing but the seed and its index.
class RandomValues {
 public:
  RandomValues(std::uint64_t seed, std::uint64_t index);

  /// A number in [-3, 3] of mean 0 and standard deviation 1: the sum of three
  /// uniform ones. Bounded, so that whether a range has several values in an
  /// element type does not hang on a rare draw; and without a transcendental
  /// function, so that every C library gives the same.
  double Next();

 private:
  double NextUniform();

  std::mt19937_64 engine_;
};

/// The tensors of a cell. grad_output follows the input a little and has a mean
/// that is not zero, so that every term of grad_input counts. Given statistics
/// differ from the input's own by up to half of them, so that ignoring them
/// shows.
Problem MakeProblem(const Cell& cell, std::uint64_t seed, std::uint64_t index);

/// grad_output for the user's own input: random numbers of mean 0 and standard
/// deviation 1.
TensorData MakeGradOutput(DataType dtype, const Shape& shape,
                          std::uint64_t seed);

/// Why a cell is not run, judged by the input that it got: its element type
/// cannot hold the values, or they became all equal. Nothing where it is run.
std::optional<std::string> ReasonNotRun(const Cell& cell,
                                        const TensorData& input);

}  // namespace groupnorm::verify

#endif  // GROUPNORM_CLIENT_CLI_VERIFY_VALUES_H_
