// The bits of fixed requests, under every instruction set of this machine,
// against those that tests/digests.txt holds for all machines.
//
//   kernel_digests_test            compares
//   kernel_digests_test --update   first writes the file anew

#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/kernels/digest_cases.h"
#include "tests/unit/kernels/kernel_run.h"
#include "tests/unit/kernels/mix_bits.h"
#include "tests/unit/kernels/sanitized.h"
#include "tests/unit/kernels/simd_targets.h"

namespace groupnorm {
namespace {

constexpr std::array<std::string_view, 6> kOutputs = {
    "output", "mean", "rstd", "grad_input", "grad_weight", "grad_bias"};

using Digests = std::array<std::string, kOutputs.size()>;

// Larger cases are left out where a sanitizer slows the arithmetic down.
constexpr std::int64_t kMaxElementsSanitized = 20000;

// Of the values as doubles, which is exact, so no byte order matters; any NaN
// counts as the same.
std::string DigestOf(const std::vector<double>& values) {
  constexpr std::uint64_t kNan = 0x7FF8000000000000;
  std::uint64_t digest = MixBits(values.size());
  for (const double value : values) {
    digest = MixBits(
        digest ^
        (std::isnan(value) ? kNan : std::bit_cast<std::uint64_t>(value)));
  }
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx",
                static_cast<unsigned long long>(digest));  // NOLINT
  return text.data();
}

Digests DigestsOf(const DigestCase& digest_case) {
  const ForwardResult forward = RunForward(ForwardOf(digest_case));
  const BackwardResult backward = RunBackward(BackwardOf(digest_case));
  return {DigestOf(FromElements(digest_case.dtype, forward.output)),
          DigestOf(forward.mean),
          DigestOf(forward.rstd),
          DigestOf(FromElements(digest_case.dtype, backward.grad_input)),
          DigestOf(backward.grad_weight),
          DigestOf(backward.grad_bias)};
}

std::map<std::string, Digests> ReadFile() {
  std::map<std::string, Digests> digests;
  std::ifstream file(GROUPNORM_DIGESTS_FILE);
  EXPECT_TRUE(file) << GROUPNORM_DIGESTS_FILE;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string name;
    words >> name;
    Digests& of_case = digests[name];
    for (std::string& digest : of_case) words >> digest;
    EXPECT_TRUE(words) << line;
  }
  return digests;
}

void WriteFile() {
  std::ofstream file(GROUPNORM_DIGESTS_FILE);
  file << "# Digests of the results of fixed requests, the same on every "
          "machine.\n"
          "# Written by `kernel_digests_test --update`, compared by "
          "kernel_digests_test.\n"
          "# A change of any of them is a change of results: CHANGELOG.md "
          "names it.\n"
          "#\n# element type/layout/batch x channels x spatial/groups/values/"
          "option";
  for (const std::string_view output : kOutputs) file << ' ' << output;
  file << '\n';
  for (const DigestCase& digest_case : DigestCases()) {
    file << digest_case.Name();
    for (const std::string& digest : DigestsOf(digest_case)) {
      file << ' ' << digest;
    }
    file << '\n';
  }
  file.close();
  std::cout << (file ? "wrote " : "could not write ") << GROUPNORM_DIGESTS_FILE
            << '\n';
}

TEST(DigestsFile, ListsEveryCaseAndNoOther) {
  const std::map<std::string, Digests> digests = ReadFile();
  const std::vector<DigestCase> cases = DigestCases();
  for (const DigestCase& digest_case : cases) {
    EXPECT_TRUE(digests.contains(digest_case.Name())) << digest_case.Name();
  }
  EXPECT_EQ(digests.size(), cases.size());
}

class KernelDigests : public ::testing::TestWithParam<SimdTargetOfKernels> {};

INSTANTIATE_TEST_SUITE_P(Targets, KernelDigests,
                         ::testing::ValuesIn(kSimdTargets),
                         [](const auto& target) {
                           return TestNameOf(target.param);
                         });

TEST_P(KernelDigests, AreThoseOfEveryMachine) {
  if (!IsSupported(GetParam())) GTEST_SKIP() << ReasonToSkip(GetParam());
  const ForcedSimdTarget forced(GetParam());
  const std::map<std::string, Digests> digests = ReadFile();
  int left_out = 0;
  for (const DigestCase& digest_case : DigestCases()) {
    const auto expected = digests.find(digest_case.Name());
    if (expected == digests.end()) continue;  // Another test reports it.
    if (kSanitized && digest_case.num_elements() > kMaxElementsSanitized) {
      ++left_out;
      continue;
    }
    const Digests actual = DigestsOf(digest_case);
    for (std::size_t i = 0; i < actual.size(); ++i) {
      EXPECT_EQ(actual[i], expected->second[i])
          << kOutputs[i] << " of " << expected->first << " on "
          << GetParam().name;
    }
  }
  if (left_out != 0) {
    std::cout << "left out under the sanitizer on " << GetParam().name << ": "
              << left_out << " cases of more than " << kMaxElementsSanitized
              << " elements\n";
  }
}

}  // namespace
}  // namespace groupnorm

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (argc == 2 && std::string_view(argv[1]) == "--update") {
    groupnorm::WriteFile();
  } else if (argc != 1) {
    std::cerr << "usage: kernel_digests_test [--update]\n";
    return 2;
  }
  return RUN_ALL_TESTS();
}
