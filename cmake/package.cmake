# `cpack` makes a Debian package of each component that is installed.

set(package_of_server groupnorm-server)
set(package_of_cli groupnorm)
set(package_of_development libgroupnorm-dev)

install(FILES packaging/groupnorm-server.service
  DESTINATION lib/systemd/system COMPONENT server)
foreach(component server cli development)
  install(FILES THIRD_PARTY_NOTICES.md COMPONENT ${component}
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package_of_${component}})
  install(FILES LICENSE COMPONENT ${component} RENAME copyright
    DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package_of_${component}})
endforeach()

# The terms of what is compiled in from headers; no package that is depended on
# has them.
set(header_packages_of_server libcli11-dev)
set(header_packages_of_cli libcli11-dev nlohmann-json3-dev)
foreach(component server cli)
  foreach(package ${header_packages_of_${component}})
    if(EXISTS /usr/share/doc/${package}/copyright)
      install(FILES /usr/share/doc/${package}/copyright
        COMPONENT ${component} RENAME copyright.${package}
        DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package_of_${component}})
    endif()
  endforeach()
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME groupnorm)
# Debian demands an address, and the project has none: who publishes the packages
# puts in theirs.
set(CPACK_PACKAGE_CONTACT "groupnorm's developers <groupnorm@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL server cli development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)

set(CPACK_DEBIAN_SERVER_PACKAGE_NAME ${package_of_server})
set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION net)
set(CPACK_DEBIAN_SERVER_DESCRIPTION
  "server of Group Normalization
 Computes Group Normalization, forward and backward, on tensors that come over
 gRPC. Installs a systemd unit, which is not started.")
set(CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA
  ${PROJECT_SOURCE_DIR}/packaging/postinst
  ${PROJECT_SOURCE_DIR}/packaging/prerm ${PROJECT_SOURCE_DIR}/packaging/postrm)

set(CPACK_DEBIAN_CLI_PACKAGE_NAME ${package_of_cli})
set(CPACK_DEBIAN_CLI_PACKAGE_SECTION science)
set(CPACK_DEBIAN_CLI_DESCRIPTION
  "command line of Group Normalization
 Calls a groupnorm-server, verifies what it computes, and measures it.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME ${package_of_development})
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
# Debian's CMake package of gRPC, which groupnorm-config.cmake looks for, fails where
# the plugins of protobuf-compiler-grpc are missing.
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "libgrpc++-dev, libprotobuf-dev, protobuf-compiler, protobuf-compiler-grpc, libabsl-dev")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION
  "client library of groupnorm
 Headers, an archive, and packages for CMake and pkg-config.")

include(CPack)
