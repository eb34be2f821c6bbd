// The hash by which gateway and workers know that they mean the same tokenizer.
#pragma once

#include <string>
#include <string_view>

namespace swiftlet {

// The first 16 bytes of the SHA-256 of `bytes`, as 32 lower-case hexadecimal digits.
std::string ShortSha256(std::string_view bytes);

}  // namespace swiftlet
