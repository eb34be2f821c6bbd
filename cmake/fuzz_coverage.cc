// Linked into every program of an AddressSanitizer build: counts the edges taken, for libFuzzer (cmake/Fuzz.cmake).
#include <cstdint>

namespace {

// Of 8 bits each, as libFuzzer wants them; an edge is known by the hash of its address.
constexpr int kCounterBits = 15;
[[gnu::section("__libfuzzer_extra_counters")]] uint8_t counters[1 << kCounterBits];

}  // namespace

extern "C" void __wrap___sanitizer_cov_trace_pc();
extern "C" void __wrap___sanitizer_cov_trace_pc() {
  const auto address = reinterpret_cast<uint64_t>(__builtin_return_address(0));
  uint8_t& counter = counters[(address * 0x9E3779B97F4A7C15u) >> (64 - kCounterBits)];
  if (counter != UINT8_MAX) ++counter;
}

// Comparisons of floating point, which libFuzzer has no use for.
extern "C" void __sanitizer_cov_trace_cmpf(float, float);
extern "C" void __sanitizer_cov_trace_cmpf(float, float) {}
extern "C" void __sanitizer_cov_trace_cmpd(double, double);
extern "C" void __sanitizer_cov_trace_cmpd(double, double) {}
