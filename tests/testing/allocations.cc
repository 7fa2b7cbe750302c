#include "tests/testing/allocations.h"

#include <atomic>
#include <cstdlib>
#include <limits>
#include <new>

namespace {

constexpr std::int64_t kNever = -1;

std::atomic<std::int64_t> num_allocations = 0;
std::atomic<std::size_t> max_allocation_bytes =
    std::numeric_limits<std::size_t>::max();
// Of this thread: how many calls there are before one fails.
thread_local std::int64_t before_failure = kNever;

void Count(std::size_t size) {
  ++num_allocations;
  if (size > max_allocation_bytes) throw std::bad_alloc();
  if (before_failure != kNever && before_failure-- == 0) throw std::bad_alloc();
}

void* Allocate(std::size_t size) {
  Count(size);
  void* const memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void* AllocateOrNull(std::size_t size) {
  try {
    return Allocate(size);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void* AllocateAligned(std::size_t size, std::align_val_t alignment) {
  Count(size);
  const auto bytes = static_cast<std::size_t>(alignment);
  void* const memory =
      std::aligned_alloc(bytes, (size + bytes - 1) / bytes * bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

void* operator new(std::size_t size) { return Allocate(size); }
void* operator new[](std::size_t size) { return Allocate(size); }
void* operator new(std::size_t size, std::align_val_t alignment) {
  return AllocateAligned(size, alignment);
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return AllocateAligned(size, alignment);
}
// gRPC's std::stable_sort takes memory so. A sanitizer's own would not go with
// these deletes.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return AllocateOrNull(size);
}
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return AllocateOrNull(size);
}
void operator delete(void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, const std::nothrow_t&) noexcept {
  std::free(memory);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace groupnorm {

std::int64_t NumAllocations() { return num_allocations; }

FailingAllocation::FailingAllocation(std::int64_t before) {
  before_failure = before;
}

FailingAllocation::~FailingAllocation() { before_failure = kNever; }

bool FailingAllocation::failed() const { return before_failure == kNever; }

void LimitAllocations(std::size_t max_bytes) {
  max_allocation_bytes = max_bytes;
}

}  // namespace groupnorm
