#ifndef GROUPNORM_TESTS_UNIT_KERNELS_SANITIZED_H_
#define GROUPNORM_TESTS_UNIT_KERNELS_SANITIZED_H_

namespace groupnorm {

/// Whether a sanitizer makes this build ten to fifty times slower: tests then
/// leave out what only adds bulk, and say so.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kSanitized =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace groupnorm

#endif  // GROUPNORM_TESTS_UNIT_KERNELS_SANITIZED_H_
