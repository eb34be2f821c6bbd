// cuBLASLt, opened at run time: the functions that linear layers call. Found by the loader's own search path.
#pragma once

#include <absl/status/statusor.h>
#include <cublasLt.h>

namespace swiftlet::cuda {

struct CublasLtLibrary {
  static absl::StatusOr<CublasLtLibrary> Open();

  decltype(cublasLtCreate)* create;
  decltype(cublasLtDestroy)* destroy;
  decltype(cublasLtGetVersion)* get_version;
  decltype(cublasLtMatmul)* matmul;
  decltype(cublasLtMatmulDescCreate)* create_operation;
  decltype(cublasLtMatmulDescSetAttribute)* set_operation;
  decltype(cublasLtMatmulDescDestroy)* destroy_operation;
  decltype(cublasLtMatrixLayoutCreate)* create_layout;
  decltype(cublasLtMatrixLayoutDestroy)* destroy_layout;
  decltype(cublasLtMatmulPreferenceCreate)* create_preference;
  decltype(cublasLtMatmulPreferenceSetAttribute)* set_preference;
  decltype(cublasLtMatmulPreferenceDestroy)* destroy_preference;
  decltype(cublasLtMatmulAlgoGetHeuristic)* get_heuristic;
  decltype(cublasLtMatmulAlgoInit)* init_algorithm;
  decltype(cublasLtMatmulAlgoCheck)* check_algorithm;
  decltype(cublasLtMatmulAlgoConfigSetAttribute)* set_config;
  decltype(cublasLtMatmulAlgoConfigGetAttribute)* get_config;
};

}  // namespace swiftlet::cuda
