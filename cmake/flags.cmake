# Flags for the project's own targets only, as an INTERFACE target: whoever
# embeds the project keeps its own.

add_library(groupnorm_flags INTERFACE)
target_compile_features(groupnorm_flags INTERFACE cxx_std_20)
# Which multiply-adds are fused is part of the results, so the code says it, not
# the compiler.
target_compile_options(groupnorm_flags INTERFACE -ffp-contract=off)
target_compile_options(groupnorm_flags INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wold-style-cast
  -Woverloaded-virtual -Wimplicit-fallthrough
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
  # g++ 12 sees overlaps in std::string's operator+ that cannot be (PR 105651).
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<VERSION_LESS:$<CXX_COMPILER_VERSION>,13>>:-Wno-restrict>
  $<$<BOOL:${GROUPNORM_WERROR}>:-Werror>)
target_include_directories(groupnorm_flags INTERFACE
  $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)

if(GROUPNORM_SANITIZE)
  # Directory-wide on purpose: a sanitizer must see the generated code as well.
  add_compile_options(-fsanitize=${GROUPNORM_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${GROUPNORM_SANITIZE})
  if(GROUPNORM_SANITIZE STREQUAL "thread")
    target_sources(groupnorm_flags INTERFACE
      $<$<STREQUAL:$<TARGET_PROPERTY:TYPE>,EXECUTABLE>:${PROJECT_SOURCE_DIR}/tests/testing/tsan_absl_locks.cc>)
  endif()
endif()

find_program(GROUPNORM_CCACHE ccache DOC "Compiler cache, used where it is there")
mark_as_advanced(GROUPNORM_CCACHE)
if(PROJECT_IS_TOP_LEVEL AND GROUPNORM_CCACHE
   AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${GROUPNORM_CCACHE})
endif()

# groupnorm_add_library(name SOURCES ... LINKS ...): a layer of the project. What
# it links is what it may include.
function(groupnorm_add_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_link_libraries(${name} PUBLIC ${arg_LINKS}
    PRIVATE $<BUILD_INTERFACE:groupnorm_flags>)
  # Of the headers as well, for those who build against what is installed.
  target_compile_features(${name} PUBLIC cxx_std_20)
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
endfunction()
