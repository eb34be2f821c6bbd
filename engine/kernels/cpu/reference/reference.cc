#include "engine/kernels/cpu/reference/reference.h"

namespace swiftlet::reference {

KernelTable Table() {
  return {.backend = "cpu/reference",
          .target = "scalar",
          .dtype = DType::kFloat32,
          .linear_weight_bytes = LinearWeightBytes,
          .packed_rows_bytes = PackedRowsBytes,
          .kv_page_bytes = KvPageBytes,
          .pack_weight = PackWeight,
          .embedding = Embedding,
          .rms_norm = RmsNorm,
          .linear = Linear,
          .swiglu = Swiglu,
          .rope_kv = RopeKv,
          .attention = Attention};
}

}  // namespace swiftlet::reference
