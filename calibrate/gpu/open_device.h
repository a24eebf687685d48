// The only door to CUDA. The CUDA side is a module that is loaded when it is asked for, so that the program starts fast
// and runs where CUDA's libraries are absent.
#pragma once

#include <memory>
#include <string>

#include "calibrate/gpu/device_layer.h"

namespace echelon {

struct OpenedDevice {
  std::unique_ptr<DeviceLayer> device;  // none where there is no CUDA device
  std::string reason;                   // then: why
};

// The first CUDA device of this machine. Searches for the module beside the program and in ../lib/echelon from there.
// Throws nothing.
OpenedDevice open_cuda_device();

}  // namespace echelon
