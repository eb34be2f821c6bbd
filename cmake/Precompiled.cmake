# Precompiled headers: what most files of a kind parse anyway. A third of the time of a build (2026-11, 2 cores).
# Every file still includes what it uses: -DSWIFTLET_PRECOMPILED=OFF builds without them.

option(SWIFTLET_PRECOMPILED "Use precompiled headers" ON)
if(NOT SWIFTLET_PRECOMPILED)
  function(swiftlet_precompiled target kind)
  endfunction()
  return()
endif()

set(SWIFTLET_PRECOMPILED_plain
  <absl/status/statusor.h> <absl/strings/str_cat.h> <functional> <map> <memory> <string> <vector>)
set(SWIFTLET_PRECOMPILED_asio
  ${SWIFTLET_PRECOMPILED_plain} <boost/asio/any_io_executor.hpp> <boost/asio/io_context.hpp> <boost/asio/post.hpp>
  <google/protobuf/message.h>)
set(SWIFTLET_PRECOMPILED_test ${SWIFTLET_PRECOMPILED_plain} <gmock/gmock.h> <gtest/gtest.h>)
set(SWIFTLET_PRECOMPILED_asio_test ${SWIFTLET_PRECOMPILED_asio} <gmock/gmock.h> <gtest/gtest.h>)

# swiftlet_precompiled(TARGET KIND): `kind` is one of the lists above. Each is compiled once.
function(swiftlet_precompiled target kind)
  set(holder precompiled_${kind})
  string(REGEX MATCH "test$" is_test ${kind})
  if(NOT TARGET ${holder})
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled_${kind}.cc CONTENT "")
    add_library(${holder} OBJECT ${CMAKE_BINARY_DIR}/precompiled_${kind}.cc)
    # The macros of a precompiled header have to be those of its users.
    target_link_libraries(${holder} PRIVATE absl_static boost_json $<$<STREQUAL:${is_test},test>:GTest::gmock>)
    target_include_directories(${holder} PRIVATE ${PROJECT_SOURCE_DIR})
    target_precompile_headers(${holder} PRIVATE ${SWIFTLET_PRECOMPILED_${kind}})
  endif()
  target_precompile_headers(${target} REUSE_FROM ${holder})
endfunction()
