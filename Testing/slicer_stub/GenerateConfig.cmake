# Slicer writes <extension>Config.cmake here, for extensions that build on this one; ours has nothing to export.
message(STATUS "CONFIG ${PROJECT_NAME}")
