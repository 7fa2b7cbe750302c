#include "tensor/buffer_pool.h"

#include <algorithm>
#include <bit>
#include <new>
#include <utility>

namespace groupnorm {

struct Buffer::Shelf {
  explicit Shelf(std::size_t max_idle) : max_idle_bytes(max_idle) {}
  Shelf(const Shelf&) = delete;
  Shelf& operator=(const Shelf&) = delete;
  ~Shelf() {
    for (const auto& [capacity, data] : idle) Free(data);
  }

  static void Free(std::byte* data) {
    ::operator delete (data, std::align_val_t{kAlignment});
  }

  const std::size_t max_idle_bytes;
  mutable absl::Mutex mutex;
  std::size_t idle_bytes ABSL_GUARDED_BY(mutex) = 0;
  std::multimap<std::size_t, std::byte*> idle ABSL_GUARDED_BY(mutex);
};

namespace {

// Capacities are the eighths between powers of two, so that buffers of similar
// sizes serve each other and waste at most an eighth.
std::size_t CapacityFor(std::size_t size) {
  if (size <= 8 * Buffer::kAlignment) {
    return (size + Buffer::kAlignment - 1) / Buffer::kAlignment *
           Buffer::kAlignment;
  }
  const std::size_t step = std::bit_floor(size) / 8;
  return (size + step - 1) / step * step;
}

}  // namespace

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
  {
    absl::MutexLock lock(&shelf_->mutex);
    if (capacity_ <= shelf_->max_idle_bytes - shelf_->idle_bytes) {
      shelf_->idle.emplace(capacity_, data_);
      shelf_->idle_bytes += capacity_;
      data_ = nullptr;
    }
  }
  if (data_ != nullptr) Shelf::Free(std::exchange(data_, nullptr));
  shelf_.reset();
}

BufferPool::BufferPool(std::size_t max_idle_bytes)
    : shelf_(std::make_shared<Buffer::Shelf>(max_idle_bytes)) {}

Buffer BufferPool::Take(std::size_t size) {
  if (size == 0) return {};
  const std::size_t capacity = CapacityFor(size);
  {
    absl::MutexLock lock(&shelf_->mutex);
    if (const auto found = shelf_->idle.find(capacity);
        found != shelf_->idle.end()) {
      std::byte* const data = found->second;
      shelf_->idle.erase(found);
      shelf_->idle_bytes -= capacity;
      return Buffer(shelf_, data, size, capacity);
    }
  }
  auto* const data = static_cast<std::byte*>(
      ::operator new (capacity, std::align_val_t{Buffer::kAlignment}));
  return Buffer(shelf_, data, size, capacity);
}

std::size_t BufferPool::idle_bytes() const {
  absl::MutexLock lock(&shelf_->mutex);
  return shelf_->idle_bytes;
}

}  // namespace groupnorm
