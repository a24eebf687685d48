// What may go wrong while a benchmark is set up or runs. These exceptions stay inside the module; cuda_device.cu turns
// them into outcomes.
#pragma once

#include <stdexcept>

namespace echelon {

struct OutOfMemory : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct DeviceError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace echelon
