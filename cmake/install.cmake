# What `cmake --install` installs, in components: `server` and `cli` are the
# programs (their folders say so), `development` is the client library with its
# headers, its packages for CMake and pkg-config, and the contract.

include(CMakePackageConfigHelpers)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/groupnorm)

# An archive has to bring along those that it links.
foreach(name client wire tensor proto)
  set_target_properties(groupnorm_${name} PROPERTIES EXPORT_NAME ${name})
endforeach()
install(TARGETS groupnorm_client groupnorm_wire groupnorm_tensor groupnorm_proto
  EXPORT groupnorm
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT groupnorm NAMESPACE groupnorm:: FILE groupnorm-targets.cmake
  DESTINATION ${package_folder} COMPONENT development)

configure_package_config_file(cmake/groupnorm-config.cmake.in
  groupnorm-config.cmake INSTALL_DESTINATION ${package_folder})
# Before 1.0 a minor version may break its users.
write_basic_package_version_file(groupnorm-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/groupnorm-config.cmake
  ${CMAKE_CURRENT_BINARY_DIR}/groupnorm-config-version.cmake
  DESTINATION ${package_folder} COMPONENT development)

configure_file(cmake/groupnorm.pc.in groupnorm.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/groupnorm.pc
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

install(DIRECTORY client/include/ tensor/include/
  DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(DIRECTORY proto/groupnorm
  DESTINATION ${CMAKE_INSTALL_DATADIR}/groupnorm/proto COMPONENT development
  FILES_MATCHING PATTERN "*.proto")
