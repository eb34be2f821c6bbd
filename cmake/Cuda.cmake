# The CUDA backend: left out unless SWIFTLET_CUDA is on and a toolkit is there; configure says which.
#
# Programs start without any CUDA library on the machine: cudart is linked statically, cuBLASLt is opened at run time
# (engine/base/dynamic_library.h).

option(SWIFTLET_CUDA "Build the CUDA backend" OFF)
set(SWIFTLET_CUDA_ARCHITECTURES "90a" CACHE STRING "'all' or a list such as 80;89;90a")
set(SWIFTLET_ALL_CUDA_ARCHITECTURES 75 80 86 89 90a)

if(NOT SWIFTLET_CUDA)
  message(STATUS "CUDA backend: left out (-DSWIFTLET_CUDA=ON, or the preset cuda-release, builds it)")
  return()
endif()

if(NOT CMAKE_CUDA_COMPILER)
  find_program(NVCC nvcc HINTS /usr/local/cuda/bin)
  if(NOT NVCC)
    message(FATAL_ERROR "SWIFTLET_CUDA is ON and no nvcc was found: install the CUDA Toolkit 13 or name its nvcc with "
                        "-DCMAKE_CUDA_COMPILER=/path/to/nvcc")
  endif()
  set(CMAKE_CUDA_COMPILER ${NVCC})
endif()
if(SWIFTLET_CUDA_ARCHITECTURES STREQUAL "all")
  set(CMAKE_CUDA_ARCHITECTURES "")
  foreach(architecture IN LISTS SWIFTLET_ALL_CUDA_ARCHITECTURES)
    list(APPEND CMAKE_CUDA_ARCHITECTURES ${architecture}-real)
  endforeach()
else()
  set(CMAKE_CUDA_ARCHITECTURES "")
  foreach(architecture IN LISTS SWIFTLET_CUDA_ARCHITECTURES)
    list(APPEND CMAKE_CUDA_ARCHITECTURES ${architecture}-real)
  endforeach()
endif()
set(CMAKE_CUDA_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
enable_language(CUDA)
find_package(CUDAToolkit 13 REQUIRED)
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")  # CMake 3.25 does not know that nvcc has it
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_FLAGS_RELEASE "-O3")
message(STATUS "CUDA backend: toolkit ${CUDAToolkit_VERSION}, architectures ${CMAKE_CUDA_ARCHITECTURES}")

add_library(cuda_runtime INTERFACE)
target_link_libraries(cuda_runtime INTERFACE CUDA::cudart_static ${CMAKE_DL_LIBS})
target_include_directories(cuda_runtime SYSTEM INTERFACE ${CUDAToolkit_INCLUDE_DIRS})
target_compile_definitions(cuda_runtime INTERFACE SWIFTLET_CUDA=1)

# The test programs of the CUDA backend, which tools/test builds where a toolkit is. Those that need a GPU skip without.
add_custom_target(tests_cuda)
