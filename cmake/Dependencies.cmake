# Every third-party library, as packaged by Debian 12. tools/packages.txt lists the packages.
#
# gRPC, Protobuf and Abseil are linked from their static archives into every program: the tokenizer has to
# (libsentencepiece.so carries a protobuf of its own that must not meet ours), and the images get by without them.

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
set(Boost_USE_STATIC_LIBS ON)
find_package(Boost 1.81 REQUIRED COMPONENTS json url)
find_package(GTest REQUIRED)
find_package(spdlog REQUIRED)
find_package(prometheus-cpp REQUIRED CONFIG)
find_package(CLI11 REQUIRED)
pkg_check_modules(pcre2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)
find_program(PROTOC protoc REQUIRED)
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

set(ARCHIVES /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE})
file(GLOB absl_archives ${ARCHIVES}/libabsl_*.a)

# Abseil alone: what the engine links.
add_library(absl_static INTERFACE)
target_link_libraries(absl_static INTERFACE -Wl,--start-group ${absl_archives} -Wl,--end-group Threads::Threads)

# Protobuf messages without gRPC: what the gateway's core links, so that it runs under ThreadSanitizer.
add_library(protobuf_static INTERFACE)
target_link_libraries(protobuf_static INTERFACE ${ARCHIVES}/libprotobuf.a absl_static ZLIB::ZLIB)

# gRPC with everything below it, in one group; reflection registers itself and would be dropped without whole-archive.
add_library(grpc_static INTERFACE)
target_link_options(grpc_static INTERFACE -Wl,--exclude-libs,ALL)
target_link_libraries(grpc_static INTERFACE
  -Wl,--whole-archive ${ARCHIVES}/libgrpc++_reflection.a -Wl,--no-whole-archive
  -Wl,--start-group ${ARCHIVES}/libgrpc++.a ${ARCHIVES}/libgrpc.a ${ARCHIVES}/libgpr.a ${ARCHIVES}/libupb.a
  ${ARCHIVES}/libaddress_sorting.a ${ARCHIVES}/libprotobuf.a ${absl_archives} ${ARCHIVES}/libre2.a
  ${ARCHIVES}/libcares.a -Wl,--end-group
  OpenSSL::SSL OpenSSL::Crypto ZLIB::ZLIB Threads::Threads)

# Shared on purpose, and after every archive on the link line: the other order binds our protobuf symbols to the old
# protobuf inside it. tests/build/symbols_test.sh checks the result.
add_library(sentencepiece_shared INTERFACE)
target_link_libraries(sentencepiece_shared INTERFACE ${ARCHIVES}/libsentencepiece.so)

add_library(boost_json INTERFACE)
target_link_libraries(boost_json INTERFACE Boost::json)
add_library(pcre2 ALIAS PkgConfig::pcre2)
add_library(utf8proc ALIAS PkgConfig::utf8proc)
add_library(highway ALIAS PkgConfig::hwy)
