// Activations as the linear kernels read them: a matrix [num_rows, columns] in the layout of the kernel table that
// wrote it. Row-major float32 in the reference table; row blocks of k-pairs in the SIMD one (cpu/simd/layout.h).
// A `precise` matrix keeps what the number format would round away, where the model is sensitive to it: as a second
// row of remainders in bfloat16, for nothing in float32. Only kernels look inside. A view: the decoder owns the memory,
// KernelTable::packed_rows_bytes says how much.
#pragma once

#include <cstdint>

namespace swiftlet {

struct PackedRows {
  uint32_t* data = nullptr;
  int32_t num_rows = 0;
  int32_t columns = 0;
  bool precise = false;
};

}  // namespace swiftlet
