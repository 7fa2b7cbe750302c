# Everything that the project links, from the system's packages:
# scripts/install-dependencies.sh installs them.

find_package(Threads REQUIRED)
# Debian's protobuf has no CONFIG package; the module has to come before gRPC.
find_package(Protobuf REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(hwy CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)

if(GROUPNORM_BUILD_TESTS)
  find_package(GTest CONFIG REQUIRED)
endif()
