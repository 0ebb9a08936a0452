# penstock_module(DEPS ... LIBS ...)        one folder of src/ is one namespace, one static library and one test program
# penstock_extension(DEPS ... LIBS ...)     the same for src/ext/<kind>/<name>, added to the generated registration table

find_package(GTest REQUIRED)
find_package(Threads REQUIRED)
include(GoogleTest)

# Release builds keep line tables so that a crash report has lines; they cost no run time.
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -DNDEBUG -g1 -fstack-protector-strong -D_FORTIFY_SOURCE=2")
set(CMAKE_CXX_FLAGS_DEV "-O1 -g1 -fno-omit-frame-pointer")
set(CMAKE_EXE_LINKER_FLAGS_DEV "")
# What a test itself says of a failure has its lines.
set(PENSTOCK_TEST_OPTIONS "$<$<CONFIG:Release>:-O1;-g0>")

add_library(penstock_options INTERFACE)
target_include_directories(penstock_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(penstock_options INTERFACE -Wall -Wextra -Wconversion -Wshadow -Werror -fPIE -fno-plt
  "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>"
  "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
target_link_options(penstock_options INTERFACE -pie -Wl,-z,relro,-z,now)
target_link_libraries(penstock_options INTERFACE fmt Threads::Threads)
if(PENSTOCK_SANITIZE)
  target_compile_options(penstock_options INTERFACE -fsanitize=${PENSTOCK_SANITIZE} -fno-sanitize-recover=all)
  target_link_options(penstock_options INTERFACE -fsanitize=${PENSTOCK_SANITIZE})
endif()
if(PENSTOCK_FUZZ)
  target_compile_options(penstock_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# Files compiled together: most of a file's cost is the headers it shares with its neighbours. 1: each by itself.
set(PENSTOCK_BATCH 8 CACHE STRING "How many files of a module are compiled as one")

# Compiles the files of `target` in batches, with the headers of others precompiled: `pch`, or `test_pch` for tests.
function(_penstock_compiled target header)
  if(NOT TARGET penstock_${header})
    file(WRITE ${CMAKE_BINARY_DIR}/generated/${header}.cc "")
    add_library(penstock_${header} OBJECT ${CMAKE_BINARY_DIR}/generated/${header}.cc)
    target_link_libraries(penstock_${header} PUBLIC penstock_options)
    target_precompile_headers(penstock_${header} PRIVATE ${CMAKE_SOURCE_DIR}/src/base/${header}.h)
    if(header STREQUAL test_pch)
      target_link_libraries(penstock_${header} PUBLIC GTest::gmock)
      target_compile_options(penstock_${header} PUBLIC ${PENSTOCK_TEST_OPTIONS})
    endif()
  endif()
  target_precompile_headers(${target} REUSE_FROM penstock_${header})
  if(header STREQUAL test_pch)
    target_compile_options(${target} PRIVATE ${PENSTOCK_TEST_OPTIONS})
  endif()
  if(PENSTOCK_BATCH GREATER 1)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${PENSTOCK_BATCH})
  endif()
endfunction()

# penstock_alone(FILE...)   Files of this folder that are compiled by themselves: a name of theirs is a neighbour's too.
function(penstock_alone)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

# Tests and fuzz targets that stand beside the code of `target`.
function(_penstock_tests target label)
  file(GLOB tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/test/*_test.cc)
  if(tests)
    add_executable(${target}_test ${tests})
    target_link_libraries(${target}_test PRIVATE ${target} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${target}_test PRIVATE PENSTOCK_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    _penstock_compiled(${target}_test test_pch)
    gtest_discover_tests(${target}_test TEST_PREFIX "${label}." DISCOVERY_MODE PRE_TEST
                         PROPERTIES LABELS unit TIMEOUT 120)
  endif()
  file(GLOB fuzzers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/*_fuzz.cc)
  foreach(fuzzer ${fuzzers})
    get_filename_component(name ${fuzzer} NAME_WE)
    set(corpus ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/${name}_corpus)
    if(PENSTOCK_FUZZ)
      add_executable(${name} ${fuzzer})
      target_link_options(${name} PRIVATE -fsanitize=fuzzer)
    else()
      if(NOT TARGET penstock_fuzz_replay)
        add_library(penstock_fuzz_replay OBJECT ${CMAKE_SOURCE_DIR}/tests/fuzz_replay.cc)
        target_link_libraries(penstock_fuzz_replay PUBLIC penstock_options)
      endif()
      add_executable(${name} ${fuzzer})
      target_link_libraries(${name} PRIVATE penstock_fuzz_replay)
      add_test(NAME fuzz.${name} COMMAND ${name} ${corpus})
      set_tests_properties(fuzz.${name} PROPERTIES LABELS unit TIMEOUT 120)
    endif()
    target_link_libraries(${name} PRIVATE ${target})
    _penstock_compiled(${name} pch)
  endforeach()
endfunction()

function(_penstock_library target)
  cmake_parse_arguments(ARG "" "" "DEPS;LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  add_library(${target} STATIC ${sources})
  target_link_libraries(${target} PUBLIC penstock_options)
  foreach(dep ${ARG_DEPS})
    target_link_libraries(${target} PUBLIC penstock_${dep})
  endforeach()
  target_link_libraries(${target} PUBLIC ${ARG_LIBS})
  _penstock_compiled(${target} pch)
endfunction()

function(penstock_module)
  get_filename_component(name ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  _penstock_library(penstock_${name} ${ARGN})
  _penstock_tests(penstock_${name} ${name})
endfunction()

function(penstock_extension)
  get_filename_component(name ${CMAKE_CURRENT_SOURCE_DIR} NAME)
  get_filename_component(kind_dir ${CMAKE_CURRENT_SOURCE_DIR} DIRECTORY)
  get_filename_component(kind ${kind_dir} NAME)
  _penstock_library(penstock_ext_${kind}_${name} ${ARGN})
  _penstock_tests(penstock_ext_${kind}_${name} ext.${kind}.${name})
  set_property(GLOBAL APPEND PROPERTY PENSTOCK_EXTENSIONS ${kind}_${name})
endfunction()

# Builds `target` from the table of every extension met so far: static self-registration from a static library is
# dropped by the linker, a generated call is not.
function(penstock_extension_table target)
  get_property(extensions GLOBAL PROPERTY PENSTOCK_EXTENSIONS)
  set(declarations "")
  set(calls "")
  foreach(ext ${extensions})
    string(APPEND declarations "void register_${ext}(base::Registry& registry);\n")
    string(APPEND calls "  register_${ext}(registry);\n")
  endforeach()
  file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/generated/extension_table.cc @ONLY CONTENT
"// Generated from the folders under src/ext.
#include \"base/registry.h\"
namespace penstock::ext {
@declarations@void register_all([[maybe_unused]] base::Registry& registry) {
@calls@}
}  // namespace penstock::ext
")
  add_library(${target} STATIC ${CMAKE_BINARY_DIR}/generated/extension_table.cc)
  target_link_libraries(${target} PUBLIC penstock_base)
  foreach(ext ${extensions})
    target_link_libraries(${target} PUBLIC penstock_ext_${ext})
  endforeach()
endfunction()
