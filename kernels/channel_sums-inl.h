// The two sums over each channel of a sample that all gradients are made of: ds
// = sum dy (x - mean) and db = sum dy.

#if defined(GROUPNORM_KERNELS_CHANNEL_SUMS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef GROUPNORM_KERNELS_CHANNEL_SUMS_INL_H_
#undef GROUPNORM_KERNELS_CHANNEL_SUMS_INL_H_
#else
#define GROUPNORM_KERNELS_CHANNEL_SUMS_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/backward_plan.h"
#include "kernels/blocks.h"
#include "kernels/column_sums-inl.h"
#include "kernels/element_loops-inl.h"
#include "kernels/lane_sums-inl.h"
#include "kernels/run_moments-inl.h"
#include "kernels/short_runs-inl.h"

HWY_BEFORE_NAMESPACE();
namespace groupnorm {
namespace HWY_NAMESPACE {

/// Channels whose sums are held at once.
inline constexpr std::int64_t kMaxChannels = kMaxColumns;

/// Arrays of channels that whole vectors may reach beyond.
inline constexpr std::int64_t kChannelCapacity =
    kMaxChannels + hn::MaxLanes(Doubles());

/// Adds dy (x - mean) and dy, some of it by products by 1 if `kByProducts`,
/// which changes no bit: the units that add are busy with widening the values,
/// those that multiply are not. All are busy where every other vector does so.
template <bool kByProducts = true, class Lanes>
HWY_INLINE void AddTerms(DoubleVector x, DoubleVector dy, DoubleVector mean,
                         Lanes& first, Lanes& second) {
  const Doubles d;
  const auto one = hn::Set(d, 1.0);
  if constexpr (kByProducts && std::is_same_v<Lanes, PlainLanes>) {
    first.AddProduct(dy, MulAdd(d, x, one, hn::Neg(mean)));
    second.AddProduct(dy, one);
  } else {
    first.AddProduct(dy, hn::Sub(x, mean));
    second.Add(dy);
  }
}

/// Terms dy (x - mean) and dy of one channel. Fetches what lies `fetch_ahead`
/// elements behind: what the processor fetches by itself ends with a page, and
/// begins anew after every group.
template <typename T>
struct RunProducts {
  static constexpr bool kAddsPairs = kSumsInPairs<T>;

  const T* x;
  const T* dy;
  double mean;
  std::int64_t fetch_ahead;

  /// Those from the i-th value on.
  HWY_INLINE RunProducts From(std::int64_t i) const {
    return {x + i, dy + i, mean, fetch_ahead};
  }

  HWY_INLINE void FetchRow(std::int64_t i) const {
    constexpr auto kBytes = kLanes * static_cast<std::int64_t>(sizeof(T));
    FetchLines(x + i + fetch_ahead, kBytes);
    FetchLines(dy + i + fetch_ahead, kBytes);
  }

  template <class First, class Second>
  HWY_INLINE void Add(std::int64_t i, First& first, Second& second) const {
    const Doubles d;
    AddTerms(LoadAs(d, x + i), LoadAs(d, dy + i), hn::Set(d, mean), first,
             second);
  }

  template <class First, class Second>
  HWY_INLINE void AddOddVector(std::int64_t i, First& first,
                               Second& second) const {
    const Doubles d;
    AddTerms<false>(LoadAs(d, x + i), LoadAs(d, dy + i), hn::Set(d, mean),
                    first, second);
  }

  template <class First, class Second>
  HWY_INLINE void AddFirst(std::int64_t i, std::int64_t count, First& first,
                           Second& second) const {
    const Doubles d;
    AddFirstTerms(LoadFirstAs(d, x + i, count), LoadFirstAs(d, dy + i, count),
                  count, first, second);
  }

  HWY_INLINE void AddPairs(std::int64_t i, PlainLanes& even_first,
                           PlainLanes& even_second, PlainLanes& odd_first,
                           PlainLanes& odd_second) const {
    const Doubles d;
    hn::Vec<hn::Rebind<float, Doubles>> even, odd, even_dy, odd_dy;
    LoadPairs(x + i, even, odd);
    LoadPairs(dy + i, even_dy, odd_dy);
    const auto means = hn::Set(d, mean);
    AddTerms(hn::PromoteTo(d, even), hn::PromoteTo(d, even_dy), means,
             even_first, even_second);
    AddTerms<false>(hn::PromoteTo(d, odd), hn::PromoteTo(d, odd_dy), means,
                    odd_first, odd_second);
  }

  HWY_INLINE void AddFirstPairs(std::int64_t i, std::int64_t count,
                                PlainLanes& even_first, PlainLanes& even_second,
                                PlainLanes& odd_first,
                                PlainLanes& odd_second) const {
    const Doubles d;
    hn::Vec<hn::Rebind<float, Doubles>> even, odd, even_dy, odd_dy;
    LoadFirstPairs(x + i, count, even, odd);
    LoadFirstPairs(dy + i, count, even_dy, odd_dy);
    AddFirstTerms(hn::PromoteTo(d, even), hn::PromoteTo(d, even_dy),
                  (count + 1) / 2, even_first, even_second);
    if (count == 1) return;
    AddFirstTerms(hn::PromoteTo(d, odd), hn::PromoteTo(d, odd_dy), count / 2,
                  odd_first, odd_second);
  }

 private:
  template <class First, class Second>
  HWY_INLINE void AddFirstTerms(DoubleVector values, DoubleVector gradient,
                                std::int64_t count, First& first,
                                Second& second) const {
    const Doubles d;
    const auto in_run = hn::FirstN(d, static_cast<std::size_t>(count));
    const auto deviation = hn::Sub(values, hn::Set(d, mean));
    // An infinite mean must not make a NaN of what is no value.
    first.AddProduct(gradient, hn::IfThenElseZero(in_run, deviation));
    second.Add(gradient);
  }
};

/// The same of the columns of a matrix, each with a mean of its own.
template <typename T>
struct ColumnProducts {
  using Element = T;
  static constexpr bool kHasGradients = true;
  static constexpr bool kHasPairs = kInPairs<T>;

  const T* x;
  const T* dy;
  const double* mean;
  const double* mean_pairs;  ///< In the order of AddPairs, where it is used.

  template <class First, class Second>
  HWY_INLINE void Add(std::int64_t i, std::int64_t column, First& first,
                      Second& second) const {
    const Doubles d;
    AddTerms(LoadAs(d, x + i), LoadAs(d, dy + i), hn::LoadU(d, mean + column),
             first, second);
  }

  template <class First, class Second>
  HWY_INLINE void AddPairs(std::int64_t i, std::int64_t column,
                           First& even_first, Second& even_second,
                           First& odd_first, Second& odd_second) const {
    const Doubles d;
    hn::Vec<hn::Rebind<float, Doubles>> even, odd, even_dy, odd_dy;
    LoadPairs(x + i, even, odd);
    LoadPairs(dy + i, even_dy, odd_dy);
    AddTerms(hn::PromoteTo(d, even), hn::PromoteTo(d, even_dy),
             hn::LoadU(d, mean_pairs + column), even_first, even_second);
    AddTerms(hn::PromoteTo(d, odd), hn::PromoteTo(d, odd_dy),
             hn::LoadU(d, mean_pairs + column + kDoubles), odd_first,
             odd_second);
  }

  template <class First, class Second>
  HWY_INLINE void AddFirst(std::int64_t i, std::int64_t column,
                           std::int64_t count, First& first,
                           Second& second) const {
    const Doubles d;
    const auto in_row = hn::FirstN(d, static_cast<std::size_t>(count));
    const auto gradient = LoadFirstAs(d, dy + i, count);
    const auto deviation =
        hn::Sub(LoadFirstAs(d, x + i, count), hn::LoadU(d, mean + column));
    first.AddProduct(gradient, hn::IfThenElseZero(in_row, deviation));
    second.Add(gradient);
  }
};

/// The sums of `num_channels` consecutive channels of one value each.
template <typename T>
HWY_NOINLINE void SumSingleValues(const T* x, const T* dy,
                                  std::int64_t num_channels, double mean,
                                  std::int64_t fetch_ahead,
                                  const ChannelSums& sums) {
  const Doubles d;
  for (std::int64_t c = 0; c < num_channels; c += kDoubles) {
    __builtin_prefetch(x + c + fetch_ahead);
    __builtin_prefetch(dy + c + fetch_ahead);
    const std::int64_t count = std::min(kDoubles, num_channels - c);
    const auto gradient = LoadUpTo(d, dy + c, count);
    const auto product =
        hn::Mul(gradient, hn::Sub(LoadUpTo(d, x + c, count), hn::Set(d, mean)));
    StoreUpTo(d, product, sums.ds + c, count);
    StoreUpTo(d, gradient, sums.db + c, count);
  }
}

/// The sums of `num_channels` consecutive channels of at most kSegment values.
template <typename T>
HWY_NOINLINE void SumShortChannels(const T* x, const T* dy,
                                   std::int64_t spatial,
                                   std::int64_t num_channels, double mean,
                                   std::int64_t fetch_ahead,
                                   const ChannelSums& sums) {
  using Lanes = ValueLanes<T>;
  ShortRuns firsts;
  ShortRuns seconds;
  for (std::int64_t c = 0; c < num_channels; c += ShortRuns::kRuns) {
    const std::int64_t runs = std::min(ShortRuns::kRuns, num_channels - c);
    for (std::int64_t run = 0; run < runs; ++run) {
      const RunProducts<T> terms = {x, dy, mean, fetch_ahead};
      SumShortRun<Lanes>(terms, spatial, run, firsts, seconds);
      x += spatial;
      dy += spatial;
    }
    firsts.Reduce<Lanes>(runs, sums.ds + c);
    seconds.Reduce<Lanes>(runs, sums.db + c);
  }
}

/// The sums over `count` consecutive values of one channel.
template <typename T>
void SumChannelBlock(const T* x, const T* dy, std::int64_t count, double mean,
                     std::int64_t fetch_ahead, double* ds, double* db) {
  const RunProducts<T> terms = {x, dy, mean, fetch_ahead};
  const CompensatedPair sums =
      SumRun<ValueLanes<T>, ValueLanes<T>>(terms, count);
  *ds = sums.first.value();
  *db = sums.second.value();
}

/// The sums of `num_channels` consecutive channels of one group, channels
/// first. `fetch_ahead`: as in RunProducts.
template <typename T>
void SumChannels(const T* x, const T* dy, std::int64_t spatial,
                 std::int64_t num_channels, double mean,
                 std::int64_t fetch_ahead, const ChannelSums& sums) {
  if (spatial == 1) {
    SumSingleValues(x, dy, num_channels, mean, fetch_ahead, sums);
    return;
  }
  if (spatial <= kSegment) {
    SumShortChannels(x, dy, spatial, num_channels, mean, fetch_ahead, sums);
    return;
  }
  for (std::int64_t c = 0; c < num_channels; ++c) {
    CompensatedSum ds;
    CompensatedSum db;
    for (std::int64_t begin = 0; begin < spatial; begin += kBlockElements) {
      const std::int64_t i = c * spatial + begin;
      double block_ds;
      double block_db;
      SumChannelBlock(x + i, dy + i, std::min(kBlockElements, spatial - begin),
                      mean, fetch_ahead, &block_ds, &block_db);
      ds.Add(block_ds);
      db.Add(block_db);
    }
    sums.ds[c] = ds.value();
    sums.db[c] = db.value();
  }
}

/// The sums of the columns of a tile; `means` are theirs, folded like them.
template <typename T>
HWY_NOINLINE void SumTileChannels(const T* x, const T* dy,
                                  const Columns& columns, const double* means,
                                  const ChannelSums& sums) {
  const Doubles d;
  double mean_pairs[kInPairs<T> ? kColumnCapacity : 1];
#if HWY_TARGET != HWY_SCALAR
  if constexpr (kInPairs<T>) {
    for (std::int64_t c = 0; c < columns.folded_width(); c += 2 * kDoubles) {
      CopyPairs(d, means + c, mean_pairs + c);
    }
  }
#endif
  const ColumnProducts<T> terms = {x, dy, means, mean_pairs};
  ColumnTotals totals;
  SumColumns<Totals::kCompensated, ValueLanes<T>, ValueLanes<T>>(terms, columns,
                                                                 totals);
  const auto store = [&](const double* total, const double* error,
                         double* to) HWY_ATTR {
    for (std::int64_t c = 0; c < columns.width; c += kDoubles) {
      const auto value =
          ValueOf(hn::Load(d, total + c), hn::Load(d, error + c));
      StoreUpTo(d, value, to + c, std::min(kDoubles, columns.width - c));
    }
  };
  store(totals.first, totals.first_error, sums.ds);
  store(totals.second, totals.second_error, sums.db);
}

/// Adds the sums of the blocks of at most kMaxChannels channels, in their
/// order.
class BlockSumsMerge {
 public:
  HWY_INLINE explicit BlockSumsMerge(std::int64_t num_channels)
      : num_channels_(num_channels) {
    for (double* values : {ds_, ds_error_, db_, db_error_}) {
      std::fill_n(values, num_channels + kDoubles, 0.0);
    }
  }

  HWY_INLINE void Add(const ChannelSums& block) {
    const auto zero = hn::Zero(Doubles());
    for (std::int64_t c = 0; c < num_channels_; c += kDoubles) {
      const std::int64_t count = std::min(kDoubles, num_channels_ - c);
      AddCompensated(LoadUpTo(Doubles(), block.ds + c, count), zero, ds_ + c,
                     ds_error_ + c);
      AddCompensated(LoadUpTo(Doubles(), block.db + c, count), zero, db_ + c,
                     db_error_ + c);
    }
  }

  HWY_INLINE void Store(const ChannelSums& sums) const {
    for (std::int64_t c = 0; c < num_channels_; ++c) {
      sums.ds[c] = CompensatedSum(ds_[c], ds_error_[c]).value();
      sums.db[c] = CompensatedSum(db_[c], db_error_[c]).value();
    }
  }

 private:
  std::int64_t num_channels_;
  double ds_[kChannelCapacity];
  double ds_error_[kChannelCapacity];
  double db_[kChannelCapacity];
  double db_error_[kChannelCapacity];
};

/// DS and DB of groups: the sums of weight ds and weight db. Those of several
/// groups are reduced together. Float64 keeps all rounding errors.
template <typename T>
class WeightedSums {
 public:
  static constexpr std::int64_t kGroups = ShortRuns::kRuns;

  /// Those of the `group`-th of kGroups groups, of at most kMaxChannels
  /// channels.
  HWY_INLINE void Set(std::int64_t group, const double* weight,
                      const ChannelSums& sums, std::int64_t num_channels) {
    const Doubles d;
    for (std::int64_t lane = 0; lane < kPartialLanes; lane += kDoubles) {
      Lanes ds;
      Lanes db;
      std::int64_t c = lane;
      for (; c + kDoubles <= num_channels; c += kPartialLanes) {
        const auto w = hn::LoadU(d, weight + c);
        ds.AddProduct(w, hn::LoadU(d, sums.ds + c));
        db.AddProduct(w, hn::LoadU(d, sums.db + c));
      }
      if (c < num_channels) {
        const std::int64_t count = num_channels - c;
        const auto w = LoadFirstAs(d, weight + c, count);
        ds.AddProduct(w, LoadFirstAs(d, sums.ds + c, count));
        db.AddProduct(w, LoadFirstAs(d, sums.db + c, count));
      }
      ds_.Set(group, lane, ds);
      db_.Set(group, lane, db);
    }
  }

  /// The same of channels that have one value each. Their own sums go to
  /// `store(c, count, ds, db)`, those of `count` channels from the c-th on.
  template <class Store>
  HWY_INLINE void SetSingleValues(std::int64_t group, const double* weight,
                                  const T* x, const T* dy, double mean,
                                  std::int64_t num_channels,
                                  const Store& store) {
    const Doubles d;
    for (std::int64_t lane = 0; lane < kPartialLanes; lane += kDoubles) {
      Lanes group_ds;
      Lanes group_db;
      const auto add = [&](std::int64_t c, std::int64_t count) HWY_ATTR {
        const auto w = LoadUpTo(d, weight + c, count);
        const auto db = LoadUpTo(d, dy + c, count);
        auto ds =
            hn::Mul(db, hn::Sub(LoadUpTo(d, x + c, count), hn::Set(d, mean)));
        if (count < kDoubles) {
          // An infinite mean must not make a NaN of what is no value.
          const auto is_value = hn::FirstN(d, static_cast<std::size_t>(count));
          ds = hn::IfThenElseZero(is_value, ds);
        }
        group_ds.AddProduct(w, ds);
        group_db.AddProduct(w, db);
        store(c, count, ds, db);
      };
      std::int64_t c = lane;
      for (; c + kDoubles <= num_channels; c += kPartialLanes) add(c, kDoubles);
      if (c < num_channels) add(c, num_channels - c);
      ds_.Set(group, lane, group_ds);
      db_.Set(group, lane, group_db);
    }
  }

  /// Of `count` groups.
  HWY_NOINLINE void Reduce(std::int64_t count, CompensatedPair* totals) {
    ds_.template ReduceLanes<Lanes>(count);
    db_.template ReduceLanes<Lanes>(count);
    for (std::int64_t g = 0; g < count; ++g) {
      totals[g] = {ds_.template Of<Lanes>(g), db_.template Of<Lanes>(g)};
    }
  }

 private:
  using Lanes = ValueLanes<T>;

  ShortRuns ds_;
  ShortRuns db_;
};

}  // namespace HWY_NAMESPACE
}  // namespace groupnorm
HWY_AFTER_NAMESPACE();

#endif  // GROUPNORM_KERNELS_CHANNEL_SUMS_INL_H_
