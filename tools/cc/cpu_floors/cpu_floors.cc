#include "tools/cc/cpu_floors/cpu_floors.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "engine/base/buffer.h"
#include "engine/base/thread_pool.h"
#include "engine/kernels/cpu/simd/micro_kernel.h"

namespace swiftlet {
namespace {

constexpr size_t kReadBytes = size_t{512} << 20;
constexpr size_t kReadSlice = size_t{2} << 20;
constexpr int64_t kDotRounds = 2'000'000;
constexpr int kRepeats = 7;

// 64 bytes; the compiler splits it where registers are shorter.
typedef uint64_t Line __attribute__((vector_size(64)));
typedef float Floats __attribute__((vector_size(64)));

uint64_t Reduce(const Line& line) {
  uint64_t sum = 0;
  for (int i = 0; i < 8; ++i) sum ^= line[i];
  return sum;
}

uint64_t ReadPortable(const std::byte* data, size_t bytes) {
  const Line* lines = reinterpret_cast<const Line*>(data);
  Line sums[4] = {};
  for (size_t i = 0; i + 4 <= bytes / sizeof(Line); i += 4) {
    for (int k = 0; k < 4; ++k) sums[k] ^= lines[i + k];
  }
  return Reduce(sums[0] ^ sums[1] ^ sums[2] ^ sums[3]);
}

float MultiplyAddPortable(int64_t rounds) {
  Floats sums[10] = {};
  for (int i = 0; i < 10; ++i) sums[i] += static_cast<float>(i);  // equal sums would be merged
  Floats factor = {};
  factor += 1e-3f;
  for (int64_t i = 0; i < rounds; ++i) {
    for (Floats& sum : sums) sum = sum * factor + factor;
  }
  float total = 0;
  for (const Floats& sum : sums) total += sum[0];
  return total;
}

#if defined(__x86_64__)
__attribute__((target("avx512f"))) uint64_t ReadAvx512(const std::byte* data, size_t bytes) {
  __m512i sums[4] = {};
  for (size_t at = 0; at < bytes; at += 256) {
    for (int k = 0; k < 4; ++k) {
      _mm_prefetch(data + at + 64 * k + 4096, _MM_HINT_T0);
      sums[k] = _mm512_xor_si512(sums[k], _mm512_loadu_si512(data + at + 64 * k));
    }
  }
  alignas(64) uint64_t lanes[8];
  _mm512_store_si512(lanes, _mm512_xor_si512(_mm512_xor_si512(sums[0], sums[1]), _mm512_xor_si512(sums[2], sums[3])));
  uint64_t total = 0;
  for (uint64_t lane : lanes) total ^= lane;
  return total;
}

__attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"))) float BFloat16Dot(int64_t rounds) {
  __m512 sums[20];
#pragma GCC unroll 20
  for (int i = 0; i < 20; ++i) sums[i] = _mm512_set1_ps(static_cast<float>(i));  // equal sums would be merged
  __m512bh a = (__m512bh)_mm512_set1_epi32(0x3c003c00);
  __m512bh b = (__m512bh)_mm512_set1_epi32(0x3c803c80);
  for (int64_t round = 0; round < rounds; ++round) {
    asm volatile("" : "+v"(a), "+v"(b));  // operands that the compiler cannot take as constant
#pragma GCC unroll 20
    for (int i = 0; i < 20; ++i) sums[i] = _mm512_dpbf16_ps(sums[i], a, b);
  }
  __m512 total = sums[0];
#pragma GCC unroll 20
  for (int i = 1; i < 20; ++i) total = _mm512_add_ps(total, sums[i]);
  return _mm512_cvtss_f32(total);
}

bool HasAvx512() {
  return __builtin_cpu_supports("avx512f");
}
#else
uint64_t ReadAvx512(const std::byte* data, size_t bytes) {
  return ReadPortable(data, bytes);
}
float BFloat16Dot(int64_t rounds) {
  return MultiplyAddPortable(rounds);
}
bool HasAvx512() {
  return false;
}
#endif

double BestSeconds(const std::function<void()>& body) {
  double best = 1e9;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    const auto begin = std::chrono::steady_clock::now();
    body();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  return best;
}

}  // namespace

CpuFloors MeasureCpuFloors(int num_threads) {
  CpuFloors floors;
  ThreadPool pool(num_threads);
  std::atomic<uint64_t> sink{0};  // keeps the loops alive

  if (absl::StatusOr<Buffer> memory = Buffer::Allocate(kReadBytes); memory.ok()) {
    std::memset(memory->data(), 1, kReadBytes);
    const auto read = HasAvx512() ? ReadAvx512 : ReadPortable;
    const double seconds = BestSeconds([&] {
      pool.Run(kReadBytes / kReadSlice,
               [&](int64_t slice) { sink += read(memory->data() + slice * kReadSlice, kReadSlice); });
    });
    floors.read_gb_per_s = kReadBytes / seconds * 1e-9;
  }

  const bool dot = simd::CpuHasBFloat16Dot();
  const double seconds = BestSeconds([&] {
    pool.Run(num_threads, [&](int64_t) {
      const float sum = dot ? BFloat16Dot(kDotRounds) : MultiplyAddPortable(kDotRounds);
      sink += static_cast<uint64_t>(sum != 0);
    });
  });
  const double operations = dot ? 2.0 * 32 * 20 : 2.0 * 16 * 10;
  floors.dot_gflop_per_s = operations * kDotRounds * num_threads / seconds * 1e-9;
  floors.dot_name = dot ? "vdpbf16ps" : "float32 multiply-add";
  return floors;
}

}  // namespace swiftlet
