// The header of one safetensors file: parsed and checked against the file's size before a byte of data is used.
// Pure: text in, tensors out, so hostile headers are tested without files.
//
//   | 8 bytes: header length, little endian | header: JSON, space padded | data: the tensors, without gap or overlap |
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <absl/status/statusor.h>

#include "engine/kernels/dtype.h"

namespace swiftlet {

struct TensorInfo {
  std::string name;
  std::string dtype_name;      // as written in the file, such as "BF16"
  std::optional<DType> dtype;  // absent for the formats that no kernel reads, such as I64
  std::vector<int64_t> shape;
  int32_t file = 0;     // index into Checkpoint::files()
  uint64_t offset = 0;  // of the first byte, from the beginning of the file
  uint64_t bytes = 0;

  std::string ShapeString() const;  // "[512, 256]"
};

inline constexpr uint64_t kMaxSafetensorsHeaderBytes = 100'000'000;  // the format's own limit

// The header length that the first 8 bytes of a file of `file_bytes` announce, if the file can hold it.
absl::StatusOr<uint64_t> SafetensorsHeaderBytes(std::string_view first_8_bytes, uint64_t file_bytes);

// Every tensor of the file, in order of offset. Errors name the tensor, what was expected and what was found.
absl::StatusOr<std::vector<TensorInfo>> ParseSafetensorsHeader(std::string_view header, uint64_t file_bytes);

}  // namespace swiftlet
