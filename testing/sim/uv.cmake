# The false libuv and its network.
add_library(qr_sim_uv OBJECT net.c net_conn.c uv_fs.c uv_handles.c uv_loop.c uv_misc.c uv_stream.c
                             uv_work.c)
target_link_libraries(qr_sim_uv PUBLIC qr_sim_sched qr_base PkgConfig::UV)

# The thread sanitizer knows nothing of fibers and has nothing to find there: there is one thread.
string(FIND "${CMAKE_C_FLAGS}" "fsanitize=thread" sim_tsan_at)

# What our code relies on in libuv: the real one does it, and so does the false one.
foreach(test uv uv_tcp)
  add_executable(sim_${test}_real_test tests/${test}_test.c)
  target_link_libraries(sim_${test}_real_test PRIVATE qr_testing PkgConfig::UV PkgConfig::CMOCKA)
  add_test(NAME sim.${test}_real COMMAND sim_${test}_real_test)
  set_tests_properties(sim.${test}_real PROPERTIES TIMEOUT 300)
  if(NOT sim_tsan_at EQUAL -1)
    continue()
  endif()
  add_executable(sim_${test}_test tests/${test}_test.c)
  target_compile_definitions(sim_${test}_test PRIVATE QR_SIM_FALSE=1)
  target_link_libraries(sim_${test}_test PRIVATE qr_sim_uv qr_sim_sched qr_testing
                                                 PkgConfig::CMOCKA)
  add_test(NAME sim.${test} COMMAND sim_${test}_test)
  set_tests_properties(sim.${test} PROPERTIES TIMEOUT 300)
endforeach()

if(sim_tsan_at EQUAL -1)
  add_executable(sim_net_test tests/net_test.c)
  target_link_libraries(sim_net_test PRIVATE qr_sim_uv qr_sim_sched qr_testing PkgConfig::CMOCKA)
  add_test(NAME sim.net COMMAND sim_net_test)
  set_tests_properties(sim.net PROPERTIES TIMEOUT 300)
endif()

# Tests of ours as they are, as the only process of a simulated host: real code on the false libuv.
function(qr_sim_hosted folder module)
  if(NOT sim_tsan_at EQUAL -1)
    return()
  endif()
  set(target sim_hosted_${folder}_${module}_test)
  add_executable(${target} tests/uv_host.c ${PROJECT_SOURCE_DIR}/${folder}/tests/${module}_test.c
                           ${ARGN})
  set_source_files_properties(${PROJECT_SOURCE_DIR}/${folder}/tests/${module}_test.c
                              PROPERTIES COMPILE_OPTIONS "-Dmain=qr_tested_main;-Dmkdtemp=qr_sim_mkdtemp;-Wno-missing-prototypes")
  target_link_libraries(${target} PRIVATE qr_sim_uv qr_sim_libc qr_sim_fs qr_sim_sched
                                          qr_${folder} PkgConfig::CMOCKA)
  add_test(NAME sim.hosted_${folder}_${module} COMMAND ${target}
           WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
  set_tests_properties(sim.hosted_${folder}_${module} PROPERTIES TIMEOUT 300)
endfunction()

qr_sim_hosted(cluster link_conn)
qr_sim_hosted(cluster peers)
qr_sim_hosted(cluster group ${PROJECT_SOURCE_DIR}/testing/fake_link.c)
# One needs some entries of a backlog to be left when something else is over: on a real clock, too,
# these are a few of two hundred.
if(TEST sim.hosted_cluster_group)
  set_tests_properties(sim.hosted_cluster_group PROPERTIES
                       ENVIRONMENT "QR_SIM_SKIP=a_leader_begins_when_it_has_applied")
endif()
