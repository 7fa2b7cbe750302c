#include "tensor/buffer_pool.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <limits>
#include <list>
#include <map>
#include <new>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace groupnorm {

namespace {

std::byte* Allocate(std::size_t capacity) {
  return static_cast<std::byte*>(
      ::operator new (capacity, std::align_val_t{Buffer::kAlignment}));
}

void Free(std::byte* data) {
  ::operator delete (data, std::align_val_t{Buffer::kAlignment});
}

}  // namespace

// Memory that nobody uses, found by its capacity and given up by its age: the
// sizes that requests no longer have must not keep the place of those they do.
struct Buffer::Shelf {
  explicit Shelf(std::size_t max_idle) : max_idle_bytes(max_idle) {}
  Shelf(const Shelf&) = delete;
  Shelf& operator=(const Shelf&) = delete;
  ~Shelf() {
    for (const Idle& entry : by_age) Free(entry.data);
  }

  struct Idle {
    std::size_t capacity;
    std::byte* data;
  };

  // What was put down last, since it may still be cached; null if nothing fits.
  std::byte* PickUp(std::size_t capacity) ABSL_LOCKS_EXCLUDED(mutex) {
    const absl::MutexLock lock(&mutex);
    const auto end = by_capacity.upper_bound(capacity);
    if (end == by_capacity.begin()) return nullptr;
    const auto found = std::prev(end);
    if (found->first != capacity) return nullptr;
    std::byte* const data = found->second->data;
    by_age.erase(found->second);
    by_capacity.erase(found);
    idle_bytes -= capacity;
    return data;
  }

  // Keeps the memory, at the cost of the oldest; frees it where it is larger
  // than all that may be kept. Where there is no memory to note that, gives
  // some back.
  void PutDown(std::size_t capacity, std::byte* data) noexcept
      ABSL_LOCKS_EXCLUDED(mutex) {
    if (capacity > max_idle_bytes) return Free(data);
    std::list<Idle> freed;
    try {
      freed.push_back({capacity, data});
      const absl::MutexLock lock(&mutex);
      by_capacity.emplace(capacity, freed.begin());
      by_age.splice(by_age.end(), freed);
      idle_bytes += capacity;
      while (idle_bytes > max_idle_bytes) {
        // Equal capacities stay in the order of their age.
        by_capacity.erase(by_capacity.lower_bound(by_age.front().capacity));
        idle_bytes -= by_age.front().capacity;
        freed.splice(freed.end(), by_age, by_age.begin());
      }
    } catch (const std::bad_alloc&) {
      return Free(data);
    }
    // Outside of the lock: giving pages back takes long.
    for (const Idle& entry : freed) Free(entry.data);
  }

  const std::size_t max_idle_bytes;
  absl::Mutex mutex;
  std::size_t idle_bytes ABSL_GUARDED_BY(mutex) = 0;
  std::list<Idle> by_age ABSL_GUARDED_BY(mutex);  // Oldest first.
  std::multimap<std::size_t, std::list<Idle>::iterator> by_capacity
      ABSL_GUARDED_BY(mutex);
};

Buffer::Buffer(std::shared_ptr<Shelf> shelf, std::byte* data, std::size_t size,
               std::size_t capacity)
    : shelf_(std::move(shelf)), data_(data), size_(size), capacity_(capacity) {}

Buffer::Buffer(Buffer&& other) noexcept
    : shelf_(std::move(other.shelf_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      capacity_(std::exchange(other.capacity_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    Release();
    shelf_ = std::move(other.shelf_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
  }
  return *this;
}

Buffer::~Buffer() { Release(); }

void Buffer::Release() noexcept {
  if (data_ == nullptr) return;
  shelf_->PutDown(capacity_, std::exchange(data_, nullptr));
  shelf_.reset();
}

BufferPool::BufferPool(std::size_t max_idle_bytes)
    : shelf_(std::make_shared<Buffer::Shelf>(max_idle_bytes)) {}

// Capacities are the eighths between powers of two, so that buffers of similar
// sizes serve each other and waste at most an eighth.
std::size_t BufferPool::CapacityFor(std::size_t size) {
  const std::size_t step =
      std::max(std::bit_floor(size) / 8, Buffer::kAlignment);
  return (size + step - 1) / step * step;
}

Buffer BufferPool::Take(std::size_t size) {
  if (size == 0) return {};
  // No machine has that much, and below it no sum here overflows.
  if (size > std::numeric_limits<std::ptrdiff_t>::max()) throw std::bad_alloc();
  const std::size_t capacity = CapacityFor(size);
  std::byte* data = shelf_->PickUp(capacity);
  if (data == nullptr) data = Allocate(capacity);
  return Buffer(shelf_, data, size, capacity);
}

std::size_t BufferPool::idle_bytes() const {
  const absl::MutexLock lock(&shelf_->mutex);
  return shelf_->idle_bytes;
}

}  // namespace groupnorm
