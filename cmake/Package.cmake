# `cpack -G DEB` (see tools/try_package.py): the program, its unit, its configuration as a conffile, the documents. Library dependencies are
# read off the binary by dpkg-shlibdeps.
if(NOT TARGET tandem)
  return()
endif()
# Packing installs the program; it does not build the tests first.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)

install(FILES ${CMAKE_SOURCE_DIR}/deploy/tandem.yaml DESTINATION /etc/tandem PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ WORLD_READ)
install(FILES ${CMAKE_SOURCE_DIR}/deploy/tandem.service DESTINATION /usr/lib/systemd/system)
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/CHANGELOG.md DESTINATION share/doc/tandem)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION share/doc/tandem FILES_MATCHING PATTERN "*.md" PATTERN "*.svg")
install(FILES ${CMAKE_SOURCE_DIR}/deploy/debian/copyright DESTINATION share/doc/tandem)

# The documents alone, for who reads before installing.
add_custom_target(docs_tarball
  COMMAND ${CMAKE_COMMAND} -E tar czf ${CMAKE_BINARY_DIR}/tandem-docs-${PROJECT_VERSION}.tar.gz README.md CHANGELOG.md CONTRIBUTING.md docs
  WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tandem)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "The Tandem authors <tandem@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Softswitch with a media relay, in one program")
set(CPACK_STRIP_FILES ON)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION comm)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "passwd, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "Registers SIP subscribers, routes their calls as a back-to-back user agent, relays\n their media and keeps a durable record of every call. State is kept in SQLite;\n administration is by REST and by `tandem ctl`.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${CMAKE_SOURCE_DIR}/deploy/debian/conffiles ${CMAKE_SOURCE_DIR}/deploy/debian/postinst
    ${CMAKE_SOURCE_DIR}/deploy/debian/prerm ${CMAKE_SOURCE_DIR}/deploy/debian/postrm)
include(CPack)
