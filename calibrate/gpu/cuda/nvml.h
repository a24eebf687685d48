// Clocks, power and temperature from NVIDIA's management library, loaded where it is present.
#pragma once

#include <string>

#include "calibrate/gpu/device_layer.h"

namespace echelon {

class Nvml {
 public:
  // `bus_id` of the device as cudaDeviceGetPCIBusId writes it. Without the library everything is unknown.
  explicit Nvml(const std::string& bus_id);
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;
  ~Nvml();

  Conditions conditions() const;
  std::string driver_version() const;  // empty = not known

 private:
  void* library_ = nullptr;
  void* device_ = nullptr;
};

}  // namespace echelon
