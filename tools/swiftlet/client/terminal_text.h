// Makes text from outside fit to be shown: what a model (or a server's message) says must not move the cursor, change
// colours, rename the window or type for the user. Pure.
#pragma once

#include <string>
#include <string_view>

namespace swiftlet {

// `text` with every control character but line feed and tab replaced by one that can be seen: ESC by U+241B, DEL by
// U+2421, C1 (U+0080 to U+009F) and the marks that turn the direction of writing by their number, <U+009B>. What is not
// UTF-8 becomes U+FFFD. The pieces of a stream may be given one by one, each whole in UTF-8.
std::string TerminalText(std::string_view text);

// The same in one line: line feeds and tabs become spaces.
std::string TerminalLine(std::string_view text);

}  // namespace swiftlet
