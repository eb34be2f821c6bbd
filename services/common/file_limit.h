// How many files and sockets this process may open. Used by main at start.
#pragma once

#include <cstdint>

namespace swiftlet {

// Raises the soft limit to the hard one, as far as that may be, and returns what holds now. Systems start processes
// with 1,024, which is fewer than the connections a gateway takes, or a load of it opens.
int64_t RaiseFileLimit();

}  // namespace swiftlet
