// Tables of cuBLASLt algorithms found by tools/cc/linear_tune: for a device, the best algorithm of each problem. Rows
// between two entries take the next larger one's. Built in for known devices; further ones as text files.
//
// A line of a table: epilogue (store, add, add_bias), out_features, in_features, rows, then the nine numbers of the
// algorithm in the order of CublasLtAlgorithm. `#` begins a comment.
#pragma once

#include <absl/status/statusor.h>

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace swiftlet::cuda {

enum class CublasLtEpilogue : uint8_t { kStore, kAdd, kAddBias };

struct CublasLtProblem {
  CublasLtEpilogue epilogue;
  int32_t out_features, in_features, rows;
  auto operator<=>(const CublasLtProblem&) const = default;
};

// cublasLtMatmulAlgoConfigAttributes_t, by the library's own numbers.
struct CublasLtAlgorithm {
  int32_t id;
  uint32_t tile;
  int32_t split_k;
  uint32_t reduction_scheme;
  uint32_t swizzle;
  uint32_t custom_option;
  uint32_t stages;
  uint16_t inner_shape;
  uint16_t cluster_shape;
  bool operator==(const CublasLtAlgorithm&) const = default;
};

class LinearTable {
 public:
  // INVALID_ARGUMENT names the line.
  static absl::StatusOr<LinearTable> Parse(std::string_view text);
  // Of the device's name, built in or from `tune_cache`/<name>.txt; nullopt where there is none.
  static absl::StatusOr<std::optional<LinearTable>> Find(std::string_view device_name, const std::string& tune_cache);

  // nullptr where the shape is not in the table, or no entry has that many rows.
  const CublasLtAlgorithm* Find(const CublasLtProblem& problem) const;
  static std::string Line(const CublasLtProblem& problem, const CublasLtAlgorithm& algorithm);
  // "NVIDIA H200" as a file name: "nvidia_h200.txt".
  static std::string FileName(std::string_view device_name);

 private:
  std::map<CublasLtProblem, CublasLtAlgorithm> entries_;
};

// The built-in tables' text: one file a device.
extern const char kLinearTableH200[];

}  // namespace swiftlet::cuda
