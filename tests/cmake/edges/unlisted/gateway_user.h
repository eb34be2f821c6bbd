// Breaks a rule on purpose, and is listed nowhere: see tests/cmake/CMakeLists.txt.
#include "services/gateway/generation/generation.h"
