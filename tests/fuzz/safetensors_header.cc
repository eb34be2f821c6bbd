// The beginning of a safetensors file. Input: the file's length (8 bytes), the file's first bytes: the header's length
// (8 bytes), the header.
#include "engine/weights/safetensors_header.h"

#include <algorithm>
#include <cstring>

#include "engine/base/check.h"
#include "tests/fuzz/input.h"

void swiftlet::fuzz::RunOne(Input input) {
  if (input.rest().size() < 8) return;
  uint64_t file_bytes = 0;
  std::memcpy(&file_bytes, input.rest().data(), 8);
  const std::string_view file = input.rest().substr(8);
  file_bytes = std::max<uint64_t>(file_bytes, file.size());
  const auto header_bytes = SafetensorsHeaderBytes(file.substr(0, 8), file_bytes);
  if (!header_bytes.ok() || *header_bytes > file.size() - 8) return;
  const auto tensors = ParseSafetensorsHeader(file.substr(8, *header_bytes), file_bytes);
  if (!IsFine(tensors.status())) return;
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
}
