#ifndef GROUPNORM_TESTS_TESTING_SANITIZED_H_
#define GROUPNORM_TESTS_TESTING_SANITIZED_H_

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GROUPNORM_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GROUPNORM_SANITIZED 1
#endif
#endif

namespace groupnorm {

#ifdef GROUPNORM_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// Shadow memory would count.
inline constexpr bool kMemoryIsMeasurable = !kSanitized;

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_TESTING_SANITIZED_H_
