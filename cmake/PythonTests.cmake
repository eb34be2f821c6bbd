# python_suites(PREFIX ... FIXTURES ...): each test_NAME.py of this folder is the test PREFIX_NAME, run by pytest
# against this build's binaries in the environment that tests/integration/make_environment makes.
function(python_suites)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "PREFIX" "FIXTURES")
  file(GLOB suites CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test_*.py)
  foreach(suite IN LISTS suites)
    get_filename_component(name ${suite} NAME_WE)
    string(REGEX REPLACE "^test_" "${arg_PREFIX}_" name ${name})
    add_test(NAME ${name}
             COMMAND ${PROJECT_SOURCE_DIR}/build/.venv/bin/python -m pytest -p no:cacheprovider --quiet --tb=short -rs
                     --binaries ${CMAKE_RUNTIME_OUTPUT_DIRECTORY} ${suite}
             WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES LABELS integration FIXTURES_REQUIRED "${arg_FIXTURES}"
                         TIMEOUT 900 ENVIRONMENT PYTHONDONTWRITEBYTECODE=1)
  endforeach()
endfunction()
