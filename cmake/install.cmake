# SPDX-License-Identifier: MIT
# What `make install` puts where: header, libraries, cadre.pc, the CMake package and the licence. Manual pages: man/CMakeLists.txt.
install(FILES ${PROJECT_SOURCE_DIR}/include/cadre.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS ${installed} EXPORT cadre
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/README.zh.md
        ${PROJECT_SOURCE_DIR}/CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs ${PROJECT_SOURCE_DIR}/examples DESTINATION ${CMAKE_INSTALL_DOCDIR}
        FILES_MATCHING PATTERN "*.md" PATTERN "*.c")

# cadre.pc is written at install time, because only then the prefix is known for good (cmake --install --prefix).
install(CODE "
    set(prefix \"\${CMAKE_INSTALL_PREFIX}\")
    set(libdir \"${CMAKE_INSTALL_LIBDIR}\")
    set(includedir \"${CMAKE_INSTALL_INCLUDEDIR}\")
    set(description \"${PROJECT_DESCRIPTION}\")
    set(version \"${PROJECT_VERSION}\")
    configure_file(\"${PROJECT_SOURCE_DIR}/cmake/cadre.pc.in\" \"${PROJECT_BINARY_DIR}/cadre.pc\" @ONLY)")
install(FILES ${PROJECT_BINARY_DIR}/cadre.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/cadre)
install(EXPORT cadre NAMESPACE cadre:: FILE cadreTargets.cmake DESTINATION ${package})
configure_package_config_file(cmake/cadreConfig.cmake.in cadreConfig.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(cadreConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cadreConfig.cmake ${PROJECT_BINARY_DIR}/cadreConfigVersion.cmake
        DESTINATION ${package})
