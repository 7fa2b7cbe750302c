#include "tests/unit/kernels/digest_cases.h"

#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/unit/kernels/mix_bits.h"

namespace groupnorm {

namespace {

// Numbers from a counter, by integer arithmetic and exact scaling.
class ExactNumbers {
 public:
  explicit ExactNumbers(std::string_view seed) {
    for (const char c : seed) {
      state_ = MixBits(state_ ^ static_cast<unsigned char>(c));
    }
  }

  // A multiple of 2^-15 between -4 and 4, the sum of four uniform ones: nearly
  // normal, with a standard deviation of 1.15.
  double Normal() {
    const std::uint64_t bits = Next();
    std::int64_t sum = -131070;
    for (int shift = 0; shift < 64; shift += 16) {
      sum += static_cast<std::int64_t>((bits >> shift) & 0xFFFF);
    }
    return std::ldexp(static_cast<double>(sum), -15);
  }

  // A multiple of 2^-50 in [0, 1).
  double Uniform() {
    return std::ldexp(static_cast<double>(Next() >> 14), -50);
  }

 private:
  std::uint64_t Next() { return MixBits(state_ += 0x9E3779B97F4A7C15); }

  std::uint64_t state_ = 0;
};

std::string_view NameOf(DigestValues values) {
  switch (values) {
    case DigestValues::kBenign:
      return "benign";
    case DigestValues::kMean1e3:
      return "mean1e3";
    case DigestValues::kMean1e5:
      return "mean1e5";
    case DigestValues::kHuge:
      return "huge";
    case DigestValues::kTiny:
      return "tiny";
    case DigestValues::kSubnormal:
      return "subnormal";
    case DigestValues::kOutlier:
      return "outlier";
    case DigestValues::kConstant:
      return "constant";
    case DigestValues::kNotFinite:
      return "notfinite";
    case DigestValues::kTwoClusters:
      return "clusters";
    case DigestValues::kWideRange:
      return "widerange";
    case DigestValues::kFarZeros:
      break;
  }
  return "farzeros";
}

std::string_view NameOf(DigestOption option) {
  switch (option) {
    case DigestOption::kPlain:
      return "plain";
    case DigestOption::kIdentity:
      return "identity";
    case DigestOption::kZeroWeight:
      return "zeroweight";
    case DigestOption::kEpsilonZero:
      return "epsilon0";
    case DigestOption::kStatisticsGiven:
      return "given";
    case DigestOption::kFrozen:
      return "frozen";
    case DigestOption::kPerSample:
      return "persample";
    case DigestOption::kWideWeights:
      break;
  }
  return "wideweights";
}

// FLOAT16 holds nothing beyond 65504 nor below 6e-8: such values would make
// every result NaN or a constant.
bool Holds(DataType dtype, DigestValues values) {
  if (dtype != DataType::kFloat16) return true;
  return values != DigestValues::kMean1e5 && values != DigestValues::kHuge &&
         values != DigestValues::kTiny && values != DigestValues::kOutlier;
}

int SubnormalExponent(DataType dtype) {
  switch (dtype) {
    case DataType::kFloat64:
      return -1030;
    case DataType::kFloat16:
      return -18;
    case DataType::kFloat32:
    case DataType::kBfloat16:
      break;
  }
  return -130;
}

std::int64_t ChannelOf(const DigestCase& c, std::int64_t i) {
  return c.layout == Layout::kChannelsLast
             ? i % c.extents.channels
             : i / c.extents.spatial % c.extents.channels;
}

double Value(const DigestCase& c, std::int64_t i, ExactNumbers& numbers) {
  const double normal = numbers.Normal();
  const bool chosen = i == c.num_elements() / 3;
  switch (c.values) {
    case DigestValues::kBenign:
      break;
    case DigestValues::kMean1e3:
      return 1e3 + normal;
    case DigestValues::kMean1e5:
      return 1e5 + normal;
    case DigestValues::kHuge:
      return std::ldexp(normal, 100);
    case DigestValues::kTiny:
      return std::ldexp(normal, -100);
    case DigestValues::kSubnormal:
      return std::ldexp(normal, SubnormalExponent(c.dtype));
    case DigestValues::kOutlier:
      return chosen ? 1e6 : normal;
    case DigestValues::kConstant:
      return 0.7;
    case DigestValues::kNotFinite:
      if (!chosen) break;
      return c.extents.spatial % 2 == 0
                 ? -std::numeric_limits<double>::infinity()
                 : std::numeric_limits<double>::quiet_NaN();
    case DigestValues::kTwoClusters:
      return ChannelOf(c, i) % 2 == 0 ? normal : normal + 4;
    case DigestValues::kWideRange:
      // FLOAT16: from its subnormal numbers on.
      return std::ldexp(normal, static_cast<int>(i % 38) - 25);
    case DigestValues::kFarZeros:
      return i % 256 == 77 ? std::ldexp(normal, -24) : 1e3 + normal;
  }
  return normal;
}

std::vector<double> Weights(const DigestCase& c, ExactNumbers& numbers) {
  std::vector<double> weights;
  for (std::int64_t channel = 0; channel < c.extents.channels; ++channel) {
    const double uniform = numbers.Uniform();
    switch (c.option) {
      case DigestOption::kIdentity:
        weights.push_back(1);
        break;
      case DigestOption::kZeroWeight:
        weights.push_back(0);
        break;
      case DigestOption::kWideWeights:
        // Around both ends of what float32 arithmetic takes, 2^-100 and 2^100.
        weights.push_back(channel % 3 == 0   ? uniform
                          : channel % 3 == 1 ? std::ldexp(uniform, 101)
                                             : std::ldexp(uniform, -99));
        break;
      default:
        weights.push_back(0.5 + uniform);
    }
  }
  return weights;
}

std::vector<double> Biases(const DigestCase& c, ExactNumbers& numbers) {
  std::vector<double> biases;
  for (std::int64_t channel = 0; channel < c.extents.channels; ++channel) {
    const double bias = numbers.Uniform() - 0.5;
    switch (c.option) {
      case DigestOption::kIdentity:
        biases.push_back(0);
        break;
      case DigestOption::kWideWeights:
        // Some beyond float32, where single elements are done in float64.
        biases.push_back(channel % 2 == 0 ? bias : std::ldexp(bias, 129));
        break;
      default:
        biases.push_back(bias);
    }
  }
  return biases;
}

void FillInputs(const DigestCase& c, KernelInputs& inputs) {
  const std::string name = c.Name();
  inputs.geometry = Geometry(c.layout, c.extents);
  inputs.dtype = c.dtype;
  if (c.option == DigestOption::kEpsilonZero) inputs.epsilon = 0;
  std::vector<double> values;
  ExactNumbers numbers(name + " input");
  for (std::int64_t i = 0; i < c.num_elements(); ++i) {
    values.push_back(Value(c, i, numbers));
  }
  inputs.input = ToElements(c.dtype, values);
  ExactNumbers weight_numbers(name + " weight");
  inputs.weight = Weights(c, weight_numbers);
  if (c.option != DigestOption::kStatisticsGiven &&
      c.option != DigestOption::kFrozen) {
    return;
  }
  ExactNumbers statistics(name + " statistics");
  for (std::int64_t i = 0; i < c.extents.batch * c.extents.num_groups; ++i) {
    inputs.mean.push_back(statistics.Uniform() - 0.5);
    inputs.rstd.push_back(statistics.Uniform() + 0.5);
  }
}

// Every kind of edge: no spatial positions but one, odd extents, every group
// size, several samples; then groups and channels of several blocks, or tiles.
std::vector<Extents> ShapesOf(Layout layout) {
  std::vector<Extents> shapes = {
      {1, 1, 1, 1},    {3, 6, 1, 3},   {2, 256, 1, 8},   {3, 6, 2, 2},
      {1, 9, 13, 3},   {3, 8, 16, 8},  {1, 5, 49, 1},    {1, 12, 49, 12},
      {1, 12, 49, 6},  {1, 12, 49, 4}, {3, 12, 49, 3},   {1, 12, 49, 2},
      {1, 12, 49, 1},  {1, 7, 64, 7},  {2, 6, 1000, 3},  {1, 3, 4099, 3},
      {1, 2, 4099, 1}, {70, 4, 6, 2},  {1, 1, 196625, 1}};
  const std::vector<Extents> of_layout =
      layout == Layout::kChannelsLast
          ? std::vector<Extents>{{3, 1, 1000, 1},   {1, 3, 1000, 1},
                                 {1, 33, 64, 3},    {1, 64, 2100, 8},
                                 {1, 320, 500, 32}, {1, 1000, 140, 10},
                                 {1, 9000, 17, 9},  {1, 9000, 9, 9000},
                                 {3, 16, 5000, 4}}
          : std::vector<Extents>{{1, 3, 65553, 1}, {3, 2, 33000, 1},
                                 {1, 2, 65536, 2}, {1, 1000, 7, 10},
                                 {1, 320, 256, 1}, {1, 70001, 1, 1}};
  shapes.insert(shapes.end(), of_layout.begin(), of_layout.end());
  return shapes;
}

// One group of a block, and several of more.
std::vector<Extents> ShapesOfVariants(Layout layout) {
  if (layout == Layout::kChannelsLast) return {{3, 6, 49, 3}, {1, 33, 4099, 3}};
  return {{3, 6, 49, 3}, {2, 4, 33001, 2}};
}

}  // namespace

std::string DigestCase::Name() const {
  const auto view = [](std::string_view text) {
    return absl::string_view(text.data(), text.size());
  };
  return absl::StrCat(view(DataTypeName(dtype)),
                      layout == Layout::kChannelsLast ? "/last/" : "/first/",
                      extents.batch, "x", extents.channels, "x",
                      extents.spatial, "/G", extents.num_groups, "/",
                      view(NameOf(values)), "/", view(NameOf(option)));
}

std::int64_t DigestCase::num_elements() const {
  return extents.batch * extents.channels * extents.spatial;
}

std::vector<DigestCase> DigestCases() {
  std::vector<DigestCase> cases;
  for (const DataType dtype : kDataTypes) {
    for (const Layout layout : kLayouts) {
      for (const Extents& extents : ShapesOf(layout)) {
        cases.push_back({dtype, layout, extents});
      }
      for (const Extents& extents : ShapesOfVariants(layout)) {
        for (int i = 0; i <= static_cast<int>(DigestOption::kWideWeights);
             ++i) {
          cases.push_back({dtype, layout, extents, DigestValues::kBenign,
                           static_cast<DigestOption>(i)});
        }
        for (int i = 1; i <= static_cast<int>(DigestValues::kFarZeros); ++i) {
          const auto values = static_cast<DigestValues>(i);
          if (!Holds(dtype, values)) continue;
          cases.push_back({dtype, layout, extents, values});
        }
        // Backward's float64 arithmetic, and the redo with epsilon 0.
        cases.push_back({dtype, layout, extents, DigestValues::kConstant,
                         DigestOption::kEpsilonZero});
        cases.push_back({dtype, layout, extents, DigestValues::kMean1e3,
                         DigestOption::kStatisticsGiven});
        cases.push_back({dtype, layout, extents, DigestValues::kNotFinite,
                         DigestOption::kStatisticsGiven});
      }
    }
  }
  return cases;
}

ForwardCase ForwardOf(const DigestCase& digest_case) {
  ForwardCase forward;
  FillInputs(digest_case, forward);
  ExactNumbers numbers(digest_case.Name() + " bias");
  forward.bias = Biases(digest_case, numbers);
  return forward;
}

BackwardCase BackwardOf(const DigestCase& digest_case) {
  BackwardCase backward;
  FillInputs(digest_case, backward);
  ExactNumbers numbers(digest_case.Name() + " grad_output");
  std::vector<double> values;
  for (std::int64_t i = 0; i < digest_case.num_elements(); ++i) {
    values.push_back(numbers.Normal() + 0.25);
  }
  backward.grad_output = ToElements(digest_case.dtype, values);
  backward.frozen_statistics = digest_case.option == DigestOption::kFrozen;
  backward.per_sample_gradients =
      digest_case.option == DigestOption::kPerSample;
  return backward;
}

}  // namespace groupnorm
