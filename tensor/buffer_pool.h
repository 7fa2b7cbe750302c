#ifndef GROUPNORM_TENSOR_BUFFER_POOL_H_
#define GROUPNORM_TENSOR_BUFFER_POOL_H_

#include <cstddef>
#include <memory>

namespace groupnorm {

class BufferPool;

/// Memory that one request uses: 64-byte aligned, contents undefined at first.
/// Goes back to its pool when destroyed, and may outlive the pool. Move-only.
class Buffer {
 public:
  static constexpr std::size_t kAlignment = 64;

  Buffer() = default;  ///< Empty: size 0, data null.
  Buffer(Buffer&&) noexcept;
  Buffer& operator=(Buffer&&) noexcept;
  ~Buffer();

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  std::size_t size() const { return size_; }

 private:
  friend class BufferPool;
  struct Shelf;  // The pool's state, shared with the buffers that are out.

  Buffer(std::shared_ptr<Shelf> shelf, std::byte* data, std::size_t size,
         std::size_t capacity);
  void Release() noexcept;

  std::shared_ptr<Shelf> shelf_;
  std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

/// Keeps the memory of finished requests for the next ones, since fresh pages
/// cost more than the arithmetic done on them.
///
/// Thread-safe. Never refuses: callers account for what they take. It bounds
/// only what it keeps.
class BufferPool {
 public:
  /// Keeps at most `max_idle_bytes` of memory that nobody uses; to stay within
  /// that, frees what has been idle longest.
  explicit BufferPool(std::size_t max_idle_bytes);

  /// What Take(size) takes: rounded up to a multiple of 64 or by less than an
  /// eighth, whichever is more, so that similar sizes share memory.
  /// Precondition: below 2^63.
  static std::size_t CapacityFor(std::size_t size);

  /// `size` bytes, 64-byte aligned; for size 0 an empty Buffer.
  /// Throws std::bad_alloc where the machine has no more.
  Buffer Take(std::size_t size);

  /// What is kept and used by nobody. For tests and metrics.
  std::size_t idle_bytes() const;

 private:
  std::shared_ptr<Buffer::Shelf> shelf_;
};

}  // namespace groupnorm

#endif  // GROUPNORM_TENSOR_BUFFER_POOL_H_
