// The warpgroup matrix instruction of sm_90a, m64nNk16, float16 with float32 sums: one specialisation for each number
// of columns, since the instruction names every register; with what goes with it: tensor copies, barriers, clusters.
// Both operands in shared memory, 64 of K (128 bytes) a row, with the 128-byte swizzle of the tensor memory
// accelerator. Included by .cu files alone.
#pragma once

#include <cuda.h>

#include <cstdint>

#include "engine/kernels/cuda/hopper.cuh"

namespace swiftlet::cuda {

// d[64 x N] = a[64 x 16] b[N x 16]^T, plus d where `add` is not 0. A lane has of each 8 columns four numbers, as of
// m16n8: (row, column), (row, column + 1), (row + 8, column), (row + 8, column + 1).
template <int kColumns>
struct Wgmma;

// The registers of N columns: their names in the instruction, and what they are bound to.
#define SWIFTLET_NAMES_8 "%0, %1, %2, %3"
#define SWIFTLET_NAMES_16 SWIFTLET_NAMES_8 ", %4, %5, %6, %7"
#define SWIFTLET_NAMES_32 SWIFTLET_NAMES_16 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define SWIFTLET_NAMES_48 SWIFTLET_NAMES_32 ", %16, %17, %18, %19, %20, %21, %22, %23"
#define SWIFTLET_NAMES_64 SWIFTLET_NAMES_48 ", %24, %25, %26, %27, %28, %29, %30, %31"
#define SWIFTLET_NAMES_96 \
  SWIFTLET_NAMES_64 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47"
#define SWIFTLET_NAMES_128 \
  SWIFTLET_NAMES_96 ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define SWIFTLET_NAMES_144 SWIFTLET_NAMES_128 ", %64, %65, %66, %67, %68, %69, %70, %71"
#define SWIFTLET_NAMES_192                                                                                      \
  SWIFTLET_NAMES_144                                                                                            \
  ", %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, " \
  "%93, %94, %95"
#define SWIFTLET_NAMES_256                                                                                     \
  SWIFTLET_NAMES_192                                                                                           \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, " \
  "%114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define SWIFTLET_EIGHT(i)                                                                                     \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), "+f"(d[i + 6]), \
      "+f"(d[i + 7])
#define SWIFTLET_SUMS_8 "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
#define SWIFTLET_SUMS_16 SWIFTLET_EIGHT(0)
#define SWIFTLET_SUMS_32 SWIFTLET_EIGHT(0), SWIFTLET_EIGHT(8)
#define SWIFTLET_SUMS_48 SWIFTLET_SUMS_32, SWIFTLET_EIGHT(16)
#define SWIFTLET_SUMS_64 SWIFTLET_SUMS_48, SWIFTLET_EIGHT(24)
#define SWIFTLET_SUMS_96 SWIFTLET_SUMS_64, SWIFTLET_EIGHT(32), SWIFTLET_EIGHT(40)
#define SWIFTLET_SUMS_128 SWIFTLET_SUMS_96, SWIFTLET_EIGHT(48), SWIFTLET_EIGHT(56)
#define SWIFTLET_SUMS_144 SWIFTLET_SUMS_128, SWIFTLET_EIGHT(64)
#define SWIFTLET_SUMS_192 SWIFTLET_SUMS_144, SWIFTLET_EIGHT(72), SWIFTLET_EIGHT(80), SWIFTLET_EIGHT(88)
#define SWIFTLET_SUMS_256 \
  SWIFTLET_SUMS_192, SWIFTLET_EIGHT(96), SWIFTLET_EIGHT(104), SWIFTLET_EIGHT(112), SWIFTLET_EIGHT(120)
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define SWIFTLET_WGMMA(columns, a_name, b_name, add_name)                                                    \
  template <>                                                                                                \
  struct Wgmma<columns> {                                                                                    \
    static __device__ __forceinline__ void Run(float (&d)[columns / 2], uint64_t a, uint64_t b, int add) {   \
      asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %" #add_name                                            \
                   ", 0;\n"                                                                                  \
                   "wgmma.mma_async.sync.aligned.m64n" #columns "k16.f32.f16.f16 {" SWIFTLET_NAMES_##columns \
                   "}, %" #a_name ", %" #b_name ", p, 1, 1, 0, 0;\n}"                                        \
                   : SWIFTLET_SUMS_##columns                                                                 \
                   : "l"(a), "l"(b), "r"(add));                                                              \
    }                                                                                                        \
  }
#else
#define SWIFTLET_WGMMA(columns, a_name, b_name, add_name)                                          \
  template <>                                                                                      \
  struct Wgmma<columns> {                                                                          \
    static __device__ __forceinline__ void Run(float (&)[columns / 2], uint64_t, uint64_t, int) {} \
  }
#endif

SWIFTLET_WGMMA(8, 4, 5, 6);
SWIFTLET_WGMMA(16, 8, 9, 10);
SWIFTLET_WGMMA(32, 16, 17, 18);
SWIFTLET_WGMMA(48, 24, 25, 26);
SWIFTLET_WGMMA(64, 32, 33, 34);
SWIFTLET_WGMMA(96, 48, 49, 50);
SWIFTLET_WGMMA(128, 64, 65, 66);
SWIFTLET_WGMMA(144, 72, 73, 74);
SWIFTLET_WGMMA(256, 128, 129, 130);

#undef SWIFTLET_NAMES_8
#undef SWIFTLET_SUMS_8
#undef SWIFTLET_NAMES_16
#undef SWIFTLET_SUMS_16
#undef SWIFTLET_NAMES_32
#undef SWIFTLET_SUMS_32
#undef SWIFTLET_NAMES_48
#undef SWIFTLET_SUMS_48
#undef SWIFTLET_NAMES_64
#undef SWIFTLET_SUMS_64
#undef SWIFTLET_NAMES_96
#undef SWIFTLET_SUMS_96
#undef SWIFTLET_NAMES_128
#undef SWIFTLET_SUMS_128
#undef SWIFTLET_NAMES_144
#undef SWIFTLET_SUMS_144
#undef SWIFTLET_NAMES_192
#undef SWIFTLET_SUMS_192
#undef SWIFTLET_NAMES_256
#undef SWIFTLET_SUMS_256
#undef SWIFTLET_EIGHT
#undef SWIFTLET_WGMMA

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

__device__ __forceinline__ void BeginProducts() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

__device__ __forceinline__ void CommitProducts() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

template <int kPending>
__device__ __forceinline__ void WaitForProducts() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}

// Reads of the sums stay behind it.
template <int kCount>
__device__ __forceinline__ void FenceSums(float (&sums)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(sums[i])::"memory");
}

// Rows of 128 bytes with the 128-byte swizzle, eight rows every 1024 bytes.
__device__ __forceinline__ uint64_t Descriptor(unsigned shared) {
  return static_cast<uint64_t>((shared & 0x3FFFF) >> 4) | (uint64_t{1} << 16) | (uint64_t{1024 >> 4} << 32) |
         (uint64_t{1} << 62);
}

__device__ __forceinline__ void PrefetchTensorMap(const CUtensorMap& map) {
  asm volatile("prefetch.tensormap [%0];" ::"l"(&map) : "memory");
}

__device__ __forceinline__ void CopyTensor(unsigned shared, const CUtensorMap& map, int column, int row,
                                           unsigned barrier) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::
          "r"(shared),
      "l"(&map), "r"(column), "r"(row), "r"(barrier)
      : "memory");
}

__device__ __forceinline__ void InitBarrierFor(unsigned barrier, unsigned arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}

__device__ __forceinline__ void FenceBarriers() {
  asm volatile("fence.mbarrier_init.release.cluster;\nfence.proxy.async.shared::cta;" ::: "memory");
}

__device__ __forceinline__ void Arrive(unsigned barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}

#endif  // __CUDA_ARCH_FEAT_SM90_ALL

}  // namespace swiftlet::cuda
