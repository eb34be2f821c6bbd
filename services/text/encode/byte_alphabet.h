// The alphabet of byte-level vocabularies (GPT-2's): each byte is written as one printable character, so that a
// tokenizer.json can spell any bytes. Pure functions, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace swiftlet {

// The character that stands for `byte`: itself where printable in Latin-1, else the next free one from U+0100.
char32_t CharacterOfByte(uint8_t byte);

// The byte that `codepoint` stands for; -1 for a character outside the alphabet.
int ByteOfCharacter(char32_t codepoint);

// Appends the bytes that `token` (valid UTF-8) spells; false, with `out` as it was, where a character is outside.
bool AppendBytesOfToken(std::string_view token, std::string& out);

// Appends the spelling of `bytes`.
void AppendSpellingOfBytes(std::string_view bytes, std::string& out);

}  // namespace swiftlet
