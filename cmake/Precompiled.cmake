# Precompiled headers in the sanitizer builds: what most files of a kind parse anyway, a third to two thirds of the time
# of a file (2 cores, 2026-11-23). The release build has none: it is the one that holds every file to its own includes,
# and with them g++ 12 warns of bounds that no string crosses. Those warnings are the release build's, therefore.
#
# swiftlet_precompiled(TARGET KIND): KIND is one of the lists below; each is compiled once a build.

if(NOT SWIFTLET_SANITIZE)
  function(swiftlet_precompiled target kind)
  endfunction()
  return()
endif()

add_compile_options(-Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict)

set(SWIFTLET_PRECOMPILED_plain
  <absl/status/statusor.h> <absl/strings/str_cat.h> <algorithm> <functional> <map> <memory> <optional> <string>
  <vector>)
set(SWIFTLET_PRECOMPILED_asio
  ${SWIFTLET_PRECOMPILED_plain} <boost/asio/any_io_executor.hpp> <boost/asio/io_context.hpp> <boost/asio/post.hpp>
  <google/protobuf/message.h>)
set(SWIFTLET_PRECOMPILED_test ${SWIFTLET_PRECOMPILED_plain} <gmock/gmock.h> <gtest/gtest.h>)
set(SWIFTLET_PRECOMPILED_asio_test ${SWIFTLET_PRECOMPILED_asio} <gmock/gmock.h> <gtest/gtest.h>)

function(swiftlet_precompiled target kind)
  set(holder precompiled_${kind})
  if(NOT TARGET ${holder})
    file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/precompiled_${kind}.cc CONTENT "")
    add_library(${holder} OBJECT ${CMAKE_BINARY_DIR}/precompiled_${kind}.cc)
    # A user has to have the macros that the header was compiled with; it may have more.
    target_link_libraries(${holder} PRIVATE absl_static boost_json)
    if(kind MATCHES "^asio")
      target_link_libraries(${holder} PRIVATE boost_asio)
    endif()
    if(kind MATCHES "test$")
      target_link_libraries(${holder} PRIVATE GTest::gmock)
    endif()
    target_include_directories(${holder} PRIVATE ${PROJECT_SOURCE_DIR})
    target_precompile_headers(${holder} PRIVATE ${SWIFTLET_PRECOMPILED_${kind}})
  endif()
  target_precompile_headers(${target} REUSE_FROM ${holder})
endfunction()
