# qr_library(proto MODULES words line ... NEEDS base [LINKS PkgConfig::LZ4 ...])
#
# One static library qr_<name> a folder.  A module m is m.c + m.h; its test tests/m_test.c and its
# fuzz target tests/m_fuzz.c (corpus in tests/corpus/m/) are added by their names.
# HEADER_ONLY modules have no m.c but may have a test.
# PLANTED modules have a QR_PLANT() (base/plant.h): they are compiled once more for the simulator, as
# the objects qr_<name>_planted, which stand before those of the library.
function(qr_library name)
  cmake_parse_arguments(LIB "" "" "MODULES;HEADER_ONLY;PLANTED;NEEDS;LINKS" ${ARGN})
  set(sources "")
  set(headers "")
  foreach(module ${LIB_MODULES})
    list(APPEND sources ${module}.c)
    list(APPEND headers ${module}.h)
  endforeach()
  foreach(module ${LIB_HEADER_ONLY})
    list(APPEND headers ${module}.h)
  endforeach()
  add_library(qr_${name} STATIC ${sources})
  target_sources(qr_${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}
                                   FILES ${headers})
  set_target_properties(qr_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  foreach(need ${LIB_NEEDS})
    target_link_libraries(qr_${name} PUBLIC qr_${need})
  endforeach()
  target_link_libraries(qr_${name} PUBLIC ${LIB_LINKS})
  if(LIB_PLANTED)
    list(TRANSFORM LIB_PLANTED APPEND .c)
    add_library(qr_${name}_planted OBJECT EXCLUDE_FROM_ALL ${LIB_PLANTED})
    target_link_libraries(qr_${name}_planted PUBLIC qr_${name})
    target_compile_definitions(qr_${name}_planted PRIVATE QR_PLANTS)
  endif()
  foreach(module ${LIB_MODULES} ${LIB_HEADER_ONLY})
    if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/tests/${module}_test.c)
      qr_test(${name} ${module})
    endif()
    if(QR_FUZZ AND EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/tests/${module}_fuzz.c)
      qr_fuzz(${name} ${module})
    endif()
  endforeach()
endfunction()

# qr_test(folder module [LINKS ...]): tests/<module>_test.c as the ctest <folder>.<module>.
function(qr_test folder module)
  cmake_parse_arguments(T "" "" "LINKS" ${ARGN})
  set(target ${folder}_${module}_test)
  add_executable(${target} tests/${module}_test.c)
  target_link_libraries(${target} PRIVATE qr_${folder} ${T_LINKS} PkgConfig::CMOCKA)
  add_test(NAME ${folder}.${module} COMMAND ${target}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(${folder}.${module} PROPERTIES TIMEOUT 600
    ENVIRONMENT "TSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/testing/tsan.supp")
endfunction()

# qr_fuzz(folder module): tests/<module>_fuzz.c, a libFuzzer target.
function(qr_fuzz folder module)
  set(target ${folder}_${module}_fuzz)
  add_executable(${target} tests/${module}_fuzz.c)
  target_link_libraries(${target} PRIVATE qr_${folder} -fsanitize=fuzzer)
endfunction()
