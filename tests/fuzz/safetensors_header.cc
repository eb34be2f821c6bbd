// The beginning of a safetensors file. Input: the file's length (8 bytes), the file's first bytes: the header's length
// (8 bytes), the header.
#include "engine/weights/safetensors_header.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "tests/fuzz/input.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace swiftlet;
  if (size < 8) return 0;
  uint64_t file_bytes = 0;
  std::memcpy(&file_bytes, data, 8);
  const std::string_view file(reinterpret_cast<const char*>(data) + 8, size - 8);
  file_bytes = std::max<uint64_t>(file_bytes, file.size());
  const auto header_bytes = SafetensorsHeaderBytes(file.substr(0, 8), file_bytes);
  if (!header_bytes.ok() || *header_bytes > file.size() - 8) return 0;
  const auto tensors = ParseSafetensorsHeader(file.substr(8, *header_bytes), file_bytes);
  if (!tensors.ok()) {
    CHECK(!tensors.status().message().empty());
    return 0;
  }
  uint64_t next = 8 + *header_bytes;
  for (const TensorInfo& tensor : *tensors) {
    CHECK(tensor.offset == next) << tensor.name << " at " << tensor.offset << ", not " << next;
    unsigned __int128 elements = 1;
    for (const int64_t extent : tensor.shape) {
      CHECK(extent >= 0);
      elements *= static_cast<uint64_t>(extent);
    }
    CHECK(elements <= tensor.bytes) << tensor.ShapeString() << " in " << tensor.bytes << " bytes";
    next += tensor.bytes;
  }
  CHECK(next == file_bytes) << next << " of " << file_bytes;
  return 0;
}
