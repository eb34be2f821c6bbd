#include "engine/kernels/cuda/cublaslt_library.h"

#include "engine/base/dynamic_library.h"
#include "engine/base/status_macros.h"

namespace swiftlet::cuda {

absl::StatusOr<CublasLtLibrary> CublasLtLibrary::Open() {
  ASSIGN_OR_RETURN(const DynamicLibrary library, DynamicLibrary::Open({"libcublasLt.so.13", "libcublasLt.so"}));
  CublasLtLibrary functions = {};
  RETURN_IF_ERROR(library.Load("cublasLtCreate", &functions.create));
  RETURN_IF_ERROR(library.Load("cublasLtDestroy", &functions.destroy));
  RETURN_IF_ERROR(library.Load("cublasLtGetVersion", &functions.get_version));
  RETURN_IF_ERROR(library.Load("cublasLtMatmul", &functions.matmul));
  RETURN_IF_ERROR(library.Load("cublasLtMatmulDescCreate", &functions.create_operation));
  RETURN_IF_ERROR(library.Load("cublasLtMatmulDescSetAttribute", &functions.set_operation));
  RETURN_IF_ERROR(library.Load("cublasLtMatmulDescDestroy", &functions.destroy_operation));
  RETURN_IF_ERROR(library.Load("cublasLtMatrixLayoutCreate", &functions.create_layout));
  RETURN_IF_ERROR(library.Load("cublasLtMatrixLayoutDestroy", &functions.destroy_layout));
  RETURN_IF_ERROR(library.Load("cublasLtMatmulPreferenceCreate", &functions.create_preference));
  RETURN_IF_ERROR(library.Load("cublasLtMatmulPreferenceSetAttribute", &functions.set_preference));
  RETURN_IF_ERROR(library.Load("cublasLtMatmulPreferenceDestroy", &functions.destroy_preference));
  RETURN_IF_ERROR(library.Load("cublasLtMatmulAlgoGetHeuristic", &functions.get_heuristic));
  RETURN_IF_ERROR(library.Load("cublasLtMatmulAlgoInit", &functions.init_algorithm));
  RETURN_IF_ERROR(library.Load("cublasLtMatmulAlgoCheck", &functions.check_algorithm));
  RETURN_IF_ERROR(library.Load("cublasLtMatmulAlgoConfigSetAttribute", &functions.set_config));
  RETURN_IF_ERROR(library.Load("cublasLtMatmulAlgoConfigGetAttribute", &functions.get_config));
  return functions;
}

}  // namespace swiftlet::cuda
