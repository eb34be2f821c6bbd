# Precompiled headers: what most files of a kind parse anyway, a third to two thirds of the time of a file (2 cores,
# 2026-11-23). In the sanitizer builds for all, in the others for tests alone: with them g++ 12 warns of bounds that no string
# crosses, so those warnings are the product's in a release build.
#
# swiftlet_precompiled(TARGET KIND): KIND is one of the lists below; each is compiled once a build. Tests of a release build
# are compiled with -O1 besides: what they test is compiled as it is shipped.

set(SWIFTLET_FLOW_WARNINGS_OFF -Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict)
if(SWIFTLET_SANITIZE)
  add_compile_options(${SWIFTLET_FLOW_WARNINGS_OFF})
endif()

set(SWIFTLET_PRECOMPILED_plain
  <absl/status/statusor.h> <absl/strings/str_cat.h> <algorithm> <functional> <map> <memory> <optional> <string> <vector>)
set(SWIFTLET_PRECOMPILED_asio
  ${SWIFTLET_PRECOMPILED_plain} <boost/asio/any_io_executor.hpp> <boost/asio/io_context.hpp> <boost/asio/post.hpp>
  <google/protobuf/message.h>)
set(SWIFTLET_PRECOMPILED_test ${SWIFTLET_PRECOMPILED_plain} <gmock/gmock.h> <gtest/gtest.h>)
set(SWIFTLET_PRECOMPILED_asio_test ${SWIFTLET_PRECOMPILED_asio} <gmock/gmock.h> <gtest/gtest.h>)

function(swiftlet_precompiled target kind)
  set(holder precompiled_${kind})
  string(REGEX MATCH "test$" is_test ${kind})
  if(NOT SWIFTLET_SANITIZE AND NOT is_test)
    return()
  endif()
  set(options "")
  if(NOT SWIFTLET_SANITIZE)
    set(options "$<$<COMPILE_LANGUAGE:CXX>:${SWIFTLET_FLOW_WARNINGS_OFF};$<$<CONFIG:Release>:-O1>>")
  elseif(is_test AND SWIFTLET_SANITIZE STREQUAL "thread")
    # A suppression names a library's function (cmake/tsan_suppressions.cc), and g++ 12's run time finds no inlined ones in
    # a test's sources compiled as one.
    set(options -fno-inline)
  endif()
  if(NOT TARGET ${holder})
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled_${kind}.cc CONTENT "")
    add_library(${holder} OBJECT ${CMAKE_BINARY_DIR}/precompiled_${kind}.cc)
    # A user has to have the macros that the header was compiled with; it may have more.
    target_link_libraries(${holder} PRIVATE absl_static boost_json $<$<STREQUAL:${is_test},test>:GTest::gmock>)
    if(kind MATCHES "^asio")
      target_link_libraries(${holder} PRIVATE boost_asio)
    endif()
    target_include_directories(${holder} PRIVATE ${PROJECT_SOURCE_DIR})
    target_precompile_headers(${holder} PRIVATE ${SWIFTLET_PRECOMPILED_${kind}})
    target_compile_options(${holder} PRIVATE ${options})  # the same as its users', or the compiler passes it by
  endif()
  target_precompile_headers(${target} REUSE_FROM ${holder})
  target_compile_options(${target} PRIVATE ${options})
endfunction()
