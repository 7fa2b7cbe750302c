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
#include "kernels/block_moments-inl.h"
#include "kernels/blocks.h"
#include "kernels/column_sums-inl.h"
#include "kernels/element_loops-inl.h"
#include "kernels/lane_sums-inl.h"

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
    const auto in_run = hn::FirstN(d, static_cast<std::size_t>(count));
    const auto gradient = LoadFirstAs(d, dy + i, count);
    const auto deviation =
        hn::Sub(LoadFirstAs(d, x + i, count), hn::Set(d, mean));
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
  static constexpr bool kHasPairs = false;

  const T* x;
  const T* dy;
  const double* mean;

  template <class First, class Second>
  HWY_INLINE void Add(std::int64_t i, std::int64_t column, First& first,
                      Second& second) const {
    const Doubles d;
    AddTerms(LoadAs(d, x + i), LoadAs(d, dy + i), hn::LoadU(d, mean + column),
             first, second);
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

/// kPartialLanes lanes of several short runs, side by side, that are reduced
/// together: the tree of PlainLanes::Reduce, which costs as much for one run.
class ShortRuns {
 public:
  static constexpr std::int64_t kRuns = 16;

  /// Adds the 32 lanes of a run down to kPartialLanes: lane l + 16 to lane l,
  /// then l + 8. `sums` are those of lanes l, l + 8, l + 16, l + 24 from l =
  /// `lane` on.
  template <class Lanes>
  HWY_INLINE void Set(std::int64_t run, std::int64_t lane, Lanes& lanes0,
                      Lanes& lanes8, Lanes& lanes16, Lanes& lanes24) {
    const std::int64_t at = run * kPartialLanes + lane;
    const Doubles d;
    lanes0.Add(lanes16.sum());
    lanes8.Add(lanes24.sum());
    lanes0.Add(lanes8.sum());
    hn::Store(lanes0.sum(), d, sums_ + at);
    if constexpr (std::is_same_v<Lanes, CompensatedLanes>) {
      hn::Store(hn::Add(hn::Add(lanes0.error(), lanes16.error()),
                        hn::Add(lanes8.error(), lanes24.error())),
                d, errors_ + at);
    }
  }

  template <class Lanes>
  HWY_INLINE void Set(std::int64_t run, std::int64_t lane, const Lanes& lanes) {
    const Doubles d;
    hn::Store(lanes.sum(), d, sums_ + run * kPartialLanes + lane);
    if constexpr (std::is_same_v<Lanes, CompensatedLanes>) {
      hn::Store(lanes.error(), d, errors_ + run * kPartialLanes + lane);
    }
  }

  /// Leaves the sums of `count` runs, at most kRuns.
  template <class Lanes>
  HWY_INLINE void ReduceLanes(std::int64_t count) {
    for (std::int64_t lanes = kPartialLanes / 2; lanes > 0; lanes /= 2) {
      AddPairs<Lanes>(count * lanes);
    }
  }

  template <class Lanes>
  HWY_INLINE CompensatedSum Of(std::int64_t run) const {
    constexpr bool kHasErrors = std::is_same_v<Lanes, CompensatedLanes>;
    return CompensatedSum(sums_[run], kHasErrors ? errors_[run] : 0);
  }

  /// The same as one double each.
  template <class Lanes>
  HWY_INLINE void Reduce(std::int64_t count, double* sums) {
    ReduceLanes<Lanes>(count);
    for (std::int64_t run = 0; run < count; ++run) {
      sums[run] = Of<Lanes>(run).value();
    }
  }

 private:
  // Adds neighbours, which leaves `count` sums (and some that nobody reads).
  template <class Lanes>
  HWY_INLINE void AddPairs(std::int64_t count) {
    const Doubles d;
    for (std::int64_t i = 0; i < count; i += kDoubles) {
      const auto even = Evens(sums_ + 2 * i);
      const auto odd = Odds(sums_ + 2 * i);
      const auto sum = hn::Add(even, odd);
      hn::Store(sum, d, sums_ + i);
      if constexpr (std::is_same_v<Lanes, CompensatedLanes>) {
        const auto part = hn::Sub(sum, even);
        const auto error =
            hn::Add(hn::Sub(even, hn::Sub(sum, part)), hn::Sub(odd, part));
        const auto errors =
            hn::Add(Evens(errors_ + 2 * i), Odds(errors_ + 2 * i));
        hn::Store(hn::Add(errors, error), d, errors_ + i);
      }
    }
  }

  // Of two vectors.
  static HWY_INLINE DoubleVector Evens(const double* p) {
    const Doubles d;
#if HWY_TARGET == HWY_SCALAR
    return hn::Load(d, p);
#else
    return hn::ConcatEven(d, hn::Load(d, p + kDoubles), hn::Load(d, p));
#endif
  }

  static HWY_INLINE DoubleVector Odds(const double* p) {
    const Doubles d;
#if HWY_TARGET == HWY_SCALAR
    return hn::Load(d, p + 1);
#else
    return hn::ConcatOdd(d, hn::Load(d, p + kDoubles), hn::Load(d, p));
#endif
  }

  HWY_ALIGN double sums_[kRuns * kPartialLanes];
  HWY_ALIGN double errors_[kRuns * kPartialLanes];
};

/// Sums a run of at most kSegment values, the `run`-th of those to be reduced.
template <class Lanes, typename T>
HWY_INLINE void SumShortRun(const RunProducts<T>& terms, std::int64_t count,
                            std::int64_t run, ShortRuns& firsts,
                            ShortRuns& seconds) {
  for (std::int64_t lane = 0; lane < kPartialLanes; lane += kDoubles) {
    Lanes first0, first8, first16, first24;
    Lanes second0, second8, second16, second24;
    RunProducts<T> row = terms.From(lane);
    std::int64_t left = count - lane;
    for (; left >= 24 + kDoubles; left -= kLanes) {
      if (lane == 0) row.FetchRow(0);
      row.Add(0, first0, second0);
      row.AddOddVector(8, first8, second8);
      row.Add(16, first16, second16);
      row.AddOddVector(24, first24, second24);
      row = row.From(kLanes);
    }
    if (lane == 0 && left > 0) row.FetchRow(0);
    const auto add_rest = [&](std::int64_t at, Lanes& first, Lanes& second)
                              HWY_ATTR {
                                if (left >= at + kDoubles) {
                                  row.Add(at, first, second);
                                } else if (left > at) {
                                  row.AddFirst(at, left - at, first, second);
                                }
                                return left > at + kPartialLanes;
                              };
    if (add_rest(0, first0, second0) && add_rest(8, first8, second8) &&
        add_rest(16, first16, second16)) {
      add_rest(24, first24, second24);
    }
    firsts.Set(run, lane, first0, first8, first16, first24);
    seconds.Set(run, lane, second0, second8, second16, second24);
  }
}

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

/// sum + error, and the sum alone where it is infinite or NaN, as
/// CompensatedSum::value().
HWY_INLINE DoubleVector ValueOf(DoubleVector sum, DoubleVector error) {
  const Doubles d;
  const auto is_finite = hn::Eq(hn::Sub(sum, sum), hn::Zero(d));
  return hn::Add(sum, hn::IfThenElseZero(is_finite, error));
}

/// The sums of the columns of a tile; `means` are theirs, folded like them.
template <typename T>
HWY_NOINLINE void SumTileChannels(const T* x, const T* dy,
                                  const Columns& columns, const double* means,
                                  const ChannelSums& sums) {
  const Doubles d;
  const ColumnProducts<T> terms = {x, dy, means};
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

  /// Of `count` groups.
  HWY_INLINE void Reduce(std::int64_t count, CompensatedPair* totals) {
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
