# module(), program() and module_test(): the architecture's edges, enforced at configure time.
#
#   module(engine/kv SRCS block_pool.cc ... HDRS ... DEPS engine/base LIBS absl_static)
#
# A module may include its own headers, those of the modules it names in DEPS, and nothing else of this tree.
# DEPS may name only what the table below allows. LIBS are third-party targets of cmake/Dependencies.cmake.

# The whole architecture: "module -> modules it may include".
set(SWIFTLET_EDGES_engine/base)
set(SWIFTLET_EDGES_engine/kernels engine/base)
set(SWIFTLET_EDGES_engine/kv engine/base)
set(SWIFTLET_EDGES_engine/weights engine/base engine/kernels)
set(SWIFTLET_EDGES_engine/grammar engine/base)
set(SWIFTLET_EDGES_engine/scheduler engine/base engine/kv)
set(SWIFTLET_EDGES_engine/model engine/base engine/kernels engine/kv engine/weights)
set(SWIFTLET_EDGES_engine/runtime engine/base engine/kernels engine/kv engine/weights engine/grammar
    engine/scheduler engine/model)
set(SWIFTLET_EDGES_proto)
set(SWIFTLET_EDGES_services/common proto engine/base)
set(SWIFTLET_EDGES_services/text/encode engine/base)
set(SWIFTLET_EDGES_services/text/decode engine/base)
set(SWIFTLET_EDGES_services/tokenizer services/common proto services/text/encode engine/base)
set(SWIFTLET_EDGES_services/model_worker services/common proto engine/runtime engine/base)
set(SWIFTLET_EDGES_services/gateway services/common proto services/text/decode engine/base)
set(SWIFTLET_MODULES
    engine/base engine/kernels engine/kv engine/weights engine/grammar engine/scheduler engine/model engine/runtime
    services/common services/text/encode services/text/decode services/tokenizer services/model_worker
    services/gateway tools tests)

# The module that owns an include path such as "engine/kv/block_pool.h"; '' for a path outside the tree.
function(swiftlet_owner path result)
  set(${result} "" PARENT_SCOPE)
  if(path MATCHES "\\.pb\\.h$")
    set(${result} proto PARENT_SCOPE)
    return()
  endif()
  set(best "")
  foreach(name IN LISTS SWIFTLET_MODULES)
    string(FIND "${path}" "${name}/" at)
    if(at EQUAL 0)
      string(LENGTH "${name}" length)
      string(LENGTH "${best}" best_length)
      if(length GREATER best_length)
        set(best ${name})
      endif()
    endif()
  endforeach()
  set(${result} "${best}" PARENT_SCOPE)
endfunction()

# Fails configure when `file` of `module` includes a header of a module that is not in `allowed`.
function(swiftlet_check_includes module file allowed)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(STRINGS ${file} lines REGEX "^[ \t]*#[ \t]*include[ \t]+\"")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^[^\"]*\"([^\"]*)\".*" "\\1" path "${line}")
    swiftlet_owner(${path} owner)
    if(owner STREQUAL "")
      message(FATAL_ERROR "${file}: #include \"${path}\" belongs to no module. "
                          "Headers of this tree are named from its top; libraries go in <>.")
    endif()
    if(NOT owner STREQUAL module AND NOT owner IN_LIST allowed)
      message(FATAL_ERROR "${file}: #include \"${path}\": ${module} may not include ${owner}. "
                          "Declared DEPS: ${allowed}. The allowed edges stand in cmake/Module.cmake.")
    endif()
  endforeach()
endfunction()

# Holds every file of the module's folder to the architecture, listed in CMake or not: a header nobody listed counts too.
function(swiftlet_check_folder module)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.h ${CMAKE_CURRENT_SOURCE_DIR}/*.cc
       ${CMAKE_CURRENT_SOURCE_DIR}/*.cu ${CMAKE_CURRENT_SOURCE_DIR}/*.cuh)
  foreach(file IN LISTS files)
    swiftlet_check_includes(${module} ${file} "${SWIFTLET_EDGES_${module}}")
  endforeach()
endfunction()

function(swiftlet_target_name module result)
  string(REPLACE "/" "_" name ${module})
  set(${result} ${name} PARENT_SCOPE)
endfunction()

# Links `target` to the targets of `modules`. `tools` is a folder of programs and their libraries, named in LIBS.
function(swiftlet_link target scope modules)
  list(REMOVE_ITEM modules tools)
  foreach(dependency IN LISTS modules)
    swiftlet_target_name(${dependency} name)
    target_link_libraries(${target} ${scope} ${name})
  endforeach()
endfunction()

# module(NAME [HDRS ...] [SRCS ...] [CUDA ...] [FUZZED ...] [DEPS modules...] [LIBS targets...]): a static library, or
# headers alone. CUDA lists the headers and sources that only a build with the CUDA backend has, FUZZED those of SRCS
# that read what comes from outside: a fuzzer sees which way they go (cmake/Fuzz.cmake).
function(module name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "HDRS;SRCS;CUDA;FUZZED;DEPS;LIBS")
  if(SWIFTLET_CUDA AND arg_CUDA)
    list(APPEND arg_SRCS ${arg_CUDA})
    list(APPEND arg_LIBS cuda_runtime)
  endif()
  foreach(dependency IN LISTS arg_DEPS)
    if(NOT dependency IN_LIST SWIFTLET_EDGES_${name})
      message(FATAL_ERROR "module ${name}: DEPS ${dependency} is not an edge of the architecture. "
                          "Allowed: ${SWIFTLET_EDGES_${name}}.")
    endif()
  endforeach()
  foreach(file IN LISTS arg_HDRS arg_SRCS)
    swiftlet_check_includes(${name} ${CMAKE_CURRENT_SOURCE_DIR}/${file} "${arg_DEPS}")
  endforeach()
  swiftlet_check_folder(${name})
  swiftlet_target_name(${name} target)
  if(arg_SRCS)
    add_library(${target} STATIC ${arg_SRCS} ${arg_HDRS})
    set(scope PUBLIC)
    if(name STREQUAL services/gateway)
      swiftlet_precompiled(${target} asio)
    else()
      swiftlet_precompiled(${target} plain)
    endif()
  else()
    add_library(${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  if(arg_SRCS AND name MATCHES "^engine/" AND SWIFTLET_SANITIZE STREQUAL "address")
    target_compile_options(${target} PRIVATE -fsanitize=alignment)  # cmake/Compiler.cmake says why here alone
  endif()
  target_include_directories(${target} ${scope} ${PROJECT_SOURCE_DIR})
  swiftlet_link(${target} ${scope} "${arg_DEPS}")
  target_link_libraries(${target} ${scope} ${arg_LIBS})
  if(arg_FUZZED AND TARGET fuzz_coverage)
    set_property(SOURCE ${arg_FUZZED} APPEND PROPERTY COMPILE_OPTIONS -fsanitize-coverage=trace-pc,trace-cmp)
    target_link_libraries(${target} PUBLIC fuzz_coverage)
  endif()
endfunction()

# program(NAME MODULE module SRCS ... [DEPS modules...] [LIBS targets...]): a binary in bin/. MODULE is the folder it
# belongs to: a service's main.cc is held to that service's edges, tools and tests to the DEPS they name.
function(program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "MODULE" "SRCS;DEPS;LIBS")
  foreach(file IN LISTS arg_SRCS)
    swiftlet_check_includes(${arg_MODULE} ${CMAKE_CURRENT_SOURCE_DIR}/${file} "${arg_DEPS}")
  endforeach()
  add_executable(${name} ${arg_SRCS})
  if(SWIFTLET_SANITIZE STREQUAL "thread")
    target_sources(${name} PRIVATE ${PROJECT_SOURCE_DIR}/cmake/tsan_suppressions.cc)
  endif()
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  if(arg_MODULE MATCHES "^(engine|services)/")
    swiftlet_link(${name} PRIVATE ${arg_MODULE})
  endif()
  swiftlet_link(${name} PRIVATE "${arg_DEPS}")
  target_link_libraries(${name} PRIVATE ${arg_LIBS})
  foreach(module IN ITEMS services/text/encode services/tokenizer)
    if(module IN_LIST arg_DEPS OR module STREQUAL arg_MODULE)
      set_property(TARGET ${name} PROPERTY SWIFTLET_SENTENCEPIECE ON)  # see cmake/Dependencies.cmake
      # --exclude-libs hides what comes from archives; this, what the program's own files instantiate.
      set_target_properties(${name} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
    endif()
  endforeach()
endfunction()

# module_test(engine_kv_test SRCS block_pool_test.cc ... DEPS engine/kv [LIBS ...] [LABELS unit] [ARGS ...])
# One test program for a folder of tests/: the tests mirror the tree.
function(module_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SRCS;DEPS;LIBS;LABELS;ARGS")
  program(${name} MODULE tests SRCS ${arg_SRCS} DEPS ${arg_DEPS} LIBS ${arg_LIBS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE SWIFTLET_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name} ${arg_ARGS} WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(services/gateway IN_LIST arg_DEPS)
    swiftlet_precompiled(${name} asio_test)
  else()
    swiftlet_precompiled(${name} test)
  endif()
  file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/test_files/${name})  # testing::TempDir()
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT 600
                       ENVIRONMENT TEST_TMPDIR=${PROJECT_BINARY_DIR}/test_files/${name})
  swiftlet_sort_test(${name})
  if(SWIFTLET_CUDA AND name MATCHES "_cuda_")
    add_dependencies(tests_cuda ${name})
  endif()
  if(device IN_LIST arg_LABELS)
    # A program that skips for want of a GPU skips all it has. Other skips must not match: ctest would take a program
    # that skips one test and fails another for skipped.
    set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "no GPU: ")
  endif()
endfunction()
