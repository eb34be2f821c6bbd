# Compiler settings that hold for every target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
set_property(GLOBAL PROPERTY USE_FOLDERS ON)

set(SWIFTLET_SANITIZE "" CACHE STRING "'', 'address' (with undefined) or 'thread'")
set_property(CACHE SWIFTLET_SANITIZE PROPERTY STRINGS "" address thread)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  # A precompiled header is usable from the cache only when its macros may differ in what they define.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE_PROGRAM})
endif()

if(CMAKE_UNITY_BUILD)
  # Every preset but cpu-debug compiles eight sources of a target as one: a quarter to a third less time to build all (2
  # cores, 2026-11-24). cpu-debug is the one to develop with: there a change is one file to compile, and each is held to its
  # own includes. Two helpers of one name in anonymous namespaces collide here; a target that cannot be compiled so has
  # UNITY_BUILD OFF. What the warning is about, an anonymous namespace that others include, is how such a build works.
  add_compile_options(-Wno-subobject-linkage)
endif()

set(SWIFTLET_CXX_OPTIONS
  -Wall -Wextra -Werror -Wvla -Walloca -Wnon-virtual-dtor -Woverloaded-virtual
  -ftrivial-auto-var-init=zero -fstack-clash-protection -fstack-protector-strong -fcf-protection
  -ffunction-sections -fdata-sections)
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${SWIFTLET_CXX_OPTIONS}>")
add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-ffunction-sections,-fdata-sections;-Werror=all-warnings;--expt-relaxed-constexpr>")
add_link_options(-Wl,--gc-sections -Wl,-z,relro,-z,now)
add_compile_definitions(_GLIBCXX_ASSERTIONS)

if(SWIFTLET_SANITIZE STREQUAL "address")
  # Its checks of every pointer for null, type, size and alignment take a third of the time to compile, and what the
  # first three find AddressSanitizer meets at the access. Alignment is for what reads files and arenas as numbers: engine/.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=alignment,null,object-size,vptr
                      -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(SWIFTLET_SANITIZE STREQUAL "thread")
  # GCC's manual: sanitizers bring false -Wmaybe-uninitialized, as for Abseil's tables here; the release build keeps that warning.
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -Wno-tsan -Wno-maybe-uninitialized)
  add_link_options(-fsanitize=thread)
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_compile_definitions(_FORTIFY_SOURCE=3)  # needs optimisation; the sanitizers bring their own checks
endif()
