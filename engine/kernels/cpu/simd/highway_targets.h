// Include before <hwy/...>: the instruction sets worth their compile time. AVX3_DL adds nothing that is used here, the
// steps between SSE2 and AVX2 are not worth a build; scalable vectors cannot be held in arrays.
#pragma once

#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
