#ifndef GROUPNORM_KERNELS_GROUP_ARRAY_H_
#define GROUPNORM_KERNELS_GROUP_ARRAY_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>

#include "kernels/blocks.h"

namespace groupnorm {

/// A value for each group of a panel, without allocation. Only those of the
/// groups that are there are initialised: a panel may be as small as one group
/// of a few values, and there may be many.
template <typename T>
class GroupArray {
 public:
  /// `num_groups` is from 1 to kPanelChannels.
  explicit GroupArray(std::int64_t num_groups) {
    static_assert(std::is_trivially_destructible_v<T>);
    std::uninitialized_value_construct_n(data(),
                                         std::max<std::int64_t>(1, num_groups));
  }

  GroupArray(const GroupArray&) = delete;
  GroupArray& operator=(const GroupArray&) = delete;

  T* data() { return reinterpret_cast<T*>(storage_); }
  T& operator[](std::int64_t group) { return data()[group]; }

 private:
  alignas(T) std::byte storage_[kPanelChannels * sizeof(T)];
};

}  // namespace groupnorm

#endif  // GROUPNORM_KERNELS_GROUP_ARRAY_H_
