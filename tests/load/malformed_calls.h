#ifndef GROUPNORM_TESTS_LOAD_MALFORMED_CALLS_H_
#define GROUPNORM_TESTS_LOAD_MALFORMED_CALLS_H_

#include <grpcpp/grpcpp.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

/// Calls that break the contract, each with the answer that the contract gives.
namespace groupnorm::load {

struct MalformedCall {
  std::string method;                 ///< "Forward" or "Backward".
  std::vector<std::string> messages;  ///< None, one or two.
  grpc::StatusCode code = grpc::StatusCode::INVALID_ARGUMENT;
  std::string text_start;  ///< What the status message begins with.
};

/// The kinds in turn: cut off, with wrong lengths, with shapes that overflow,
/// of wrong types, random bytes, a broken message before a good one, no
/// message, an answer too large. The same seed gives the same calls.
class MalformedCalls {
 public:
  explicit MalformedCalls(std::uint64_t seed) : random_(seed) {}

  MalformedCall Next();

 private:
  std::string GoodMessage(const std::string& method);
  std::string Broken(const std::string& method, int kind);
  std::string CutOff(std::string message);
  std::string WithWrongLength(std::string message);
  std::string WithOverflowingShape(const std::string& method);
  std::string OfWrongType(const std::string& method);
  std::string RandomBytes();
  std::size_t Below(std::size_t bound) { return random_() % bound; }

  std::mt19937_64 random_;
  int count_ = 0;
};

}  // namespace groupnorm::load

#endif  // GROUPNORM_TESTS_LOAD_MALFORMED_CALLS_H_
