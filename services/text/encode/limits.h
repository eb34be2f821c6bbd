// Bounds on what the files of a model directory may claim. Real vocabularies have up to 262,208 ids and files up to
// 34 MB (Gemma 3).
#pragma once

#include <cstddef>
#include <cstdint>

namespace swiftlet {

inline constexpr int32_t kMaxTokenId = (1 << 21) - 1;
inline constexpr size_t kMaxAddedTokenBytes = 1024;  // bounds the work at one position of a text
inline constexpr size_t kMaxTokenizerBytes = size_t{128} << 20;
inline constexpr size_t kMaxTokenizerConfigBytes = size_t{16} << 20;

}  // namespace swiftlet
