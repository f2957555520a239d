# A disk for each host, and the libc on it.
add_library(qr_sim_fs OBJECT fs.c fd.c tree.c pages.c)
target_link_libraries(qr_sim_fs PUBLIC qr_base)

# What they define must stand before libc's for the shared libraries, too: -rdynamic.
add_library(qr_sim_libc OBJECT libc.c libc_aio.c libc_openssl.c libc_stdio.c libc_world.c)
target_link_libraries(qr_sim_libc PUBLIC qr_base PkgConfig::OPENSSL ${CMAKE_DL_LIBS})
target_link_options(qr_sim_libc INTERFACE -rdynamic)

# The thread sanitizer calls libc before it can be stood for, and knows nothing of fibers.
if(NOT CMAKE_C_FLAGS MATCHES "sanitize=thread")
  foreach(module fs libc)
    add_executable(sim_${module}_test tests/${module}_test.c)
    target_link_libraries(sim_${module}_test PRIVATE qr_sim_libc qr_sim_fs qr_sim_sched qr_testing
                                                     PkgConfig::CMOCKA PkgConfig::UV)
    add_test(NAME sim.${module} COMMAND sim_${module}_test)
    set_tests_properties(sim.${module} PROPERTIES TIMEOUT 300)
  endforeach()

  # libraft's disk code on it.
  add_executable(sim_raft_disk_test tests/raft_disk_test.c)
  target_link_libraries(sim_raft_disk_test PRIVATE qr_sim_uv qr_sim_libc qr_sim_fs qr_sim_sched
                                                   qr_testing qr_cluster PkgConfig::RAFT PkgConfig::CMOCKA)
  add_test(NAME sim.raft_disk COMMAND sim_raft_disk_test)
  set_tests_properties(sim.raft_disk PROPERTIES TIMEOUT 900)
endif()
