// Writes small safetensors files and model directories for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "tests/testing/temporary_directory.h"

namespace swiftlet {

// Length, header, data.
inline std::string SafetensorsBytes(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes + header + data;
}

}  // namespace swiftlet
