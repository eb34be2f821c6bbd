# libFuzzer on what g++ compiles, in AddressSanitizer builds: Debian has its run time apart from clang.
#
# g++ calls __sanitizer_cov_trace_pc at every edge. libFuzzer no longer understands that; it does count whatever stands in
# the section of extra counters, so --wrap sends the calls to cmake/fuzz_coverage.cc, which counts there. Comparisons
# (trace-cmp) and the memory functions reach libFuzzer as clang's do.

if(NOT SWIFTLET_SANITIZE STREQUAL "address")
  return()
endif()

file(GLOB libfuzzer /usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-${CMAKE_SYSTEM_PROCESSOR}.a)
if(NOT libfuzzer)
  message(FATAL_ERROR "libFuzzer's run time is missing: the Debian package libclang-rt-14-dev has it")
endif()
list(GET libfuzzer -1 libfuzzer)

add_library(fuzz_coverage STATIC ${PROJECT_SOURCE_DIR}/cmake/fuzz_coverage.cc)
target_compile_options(fuzz_coverage PRIVATE -O2 -fno-sanitize=all)
target_link_options(fuzz_coverage INTERFACE -Wl,--wrap=__sanitizer_cov_trace_pc)

# fuzz_target(NAME DEPS modules... [LIBS targets...]): tests/fuzz/NAME.cc with its seeds in tests/fuzz/corpus/NAME.
function(fuzz_target name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "DEPS;LIBS")
  program(fuzz_${name} MODULE tests SRCS ${name}.cc input.cc DEPS ${arg_DEPS} LIBS ${arg_LIBS} ${libfuzzer})
  target_link_libraries(fuzz_${name} PRIVATE fuzz_coverage)
endfunction()
