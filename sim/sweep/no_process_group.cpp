#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "sim/sweep/process_group.h"

namespace echelon {

// Processes that know nothing of each other would all write the same file.
std::unique_ptr<ProcessGroup> ProcessGroup::join() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* size = std::getenv(name);
    if (size != nullptr && std::string(size) != "1")
      throw InputError({"mpirun", 0, 0}, "this program was built without MPI, and several of it run",
                       "expected one process, or a build where CMake finds MPI (libopenmpi-dev)");
  }
  return nullptr;
}

}  // namespace echelon
