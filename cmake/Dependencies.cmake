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
pkg_check_modules(edit REQUIRED IMPORTED_TARGET libedit)
pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)
find_program(PROTOC protoc REQUIRED)
find_program(GRPC_CPP_PLUGIN grpc_cpp_plugin REQUIRED)

set(ARCHIVES /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE})
file(GLOB absl_archives ${ARCHIVES}/libabsl_*.a)

# One archive as a target: CMake then knows what comes after it on the link line.
function(swiftlet_archive name file)
  add_library(${name} STATIC IMPORTED GLOBAL)
  set_target_properties(${name} PROPERTIES IMPORTED_LOCATION ${file})
  target_link_options(${name} INTERFACE -Wl,--exclude-libs,ALL)
endfunction()

# Archives that refer to each other in circles, as one item of the link line: a linker script with a GROUP.
# (--start-group and --end-group among the libraries do not survive CMake's removal of repeated items.)
function(swiftlet_archive_group name)
  list(JOIN ARGN "\n  " archives)
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/lib${name}.a CONTENT "GROUP(\n  ${archives}\n)\n")
  swiftlet_archive(${name} ${CMAKE_BINARY_DIR}/lib${name}.a)
  target_link_libraries(${name} INTERFACE Threads::Threads)
endfunction()

# Abseil alone: what the engine links.
swiftlet_archive_group(absl_static ${absl_archives})

# Protobuf messages without gRPC: what the gateway's core links, so that it runs under ThreadSanitizer.
swiftlet_archive(protobuf_static ${ARCHIVES}/libprotobuf.a)
target_link_libraries(protobuf_static INTERFACE absl_static ZLIB::ZLIB)

# gRPC with everything below it.
swiftlet_archive_group(grpc_static
  ${ARCHIVES}/libgrpc++_reflection.a ${ARCHIVES}/libgrpc++.a ${ARCHIVES}/libgrpc.a ${ARCHIVES}/libgpr.a
  ${ARCHIVES}/libupb.a ${ARCHIVES}/libaddress_sorting.a ${ARCHIVES}/libprotobuf.a ${absl_archives}
  ${ARCHIVES}/libre2.a ${ARCHIVES}/libcares.a ${OPENSSL_SSL_LIBRARY} ${OPENSSL_CRYPTO_LIBRARY} ${ZLIB_LIBRARIES})

# Shared on purpose, and after every archive on the link line: the other order binds our protobuf symbols to the old
# protobuf inside it. CMake puts a library after those that depend on it, so for programs with both the archives claim
# to; program() in Module.cmake sets the property. tests/link/symbols_test.sh checks the result.
add_library(sentencepiece_shared INTERFACE)
target_link_libraries(sentencepiece_shared INTERFACE ${ARCHIVES}/libsentencepiece.so)
foreach(archives IN ITEMS absl_static protobuf_static grpc_static)
  target_link_libraries(${archives} INTERFACE
    $<$<BOOL:$<TARGET_PROPERTY:SWIFTLET_SENTENCEPIECE>>:sentencepiece_shared>)
endforeach()

add_library(boost_asio STATIC ${PROJECT_SOURCE_DIR}/cmake/boost_asio.cc)
target_compile_definitions(boost_asio PUBLIC BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION)
target_link_libraries(boost_asio PUBLIC Boost::headers OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
add_library(boost_json INTERFACE)
target_link_libraries(boost_json INTERFACE Boost::json)
add_library(pcre2 ALIAS PkgConfig::pcre2)
add_library(utf8proc ALIAS PkgConfig::utf8proc)
add_library(libedit ALIAS PkgConfig::edit)
add_library(highway ALIAS PkgConfig::hwy)
