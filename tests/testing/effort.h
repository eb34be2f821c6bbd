// How much a property test tries. A sanitizer makes a step 5 to 30 times slower and finds its faults in the first few:
// what such a build runs less of are seeds and sizes, never a kind of case. Tests print how many cases they ran.
#pragma once

namespace swiftlet::tests {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

template <typename T>
constexpr T Effort(T plain, T sanitized) {
  return kSanitized ? sanitized : plain;
}

}  // namespace swiftlet::tests
