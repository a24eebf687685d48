#include "calibrate/gpu/cuda/nvml.h"

#include <dlfcn.h>

#include <array>

namespace echelon {
namespace {

// The few functions that are used, as NVIDIA's "NVML API Reference Guide" declares them; 0 is success.
using Init = int (*)();
using HandleByBusId = int (*)(const char*, void**);
using ClockInfo = int (*)(void*, int, unsigned*);
using PowerUsage = int (*)(void*, unsigned*);
using Temperature = int (*)(void*, int, unsigned*);
using DriverVersion = int (*)(char*, unsigned);
constexpr int sm_clock = 1;
constexpr int memory_clock = 2;
constexpr int gpu_sensor = 0;

template <class Function>
Function function(void* library, const char* name) {
  return library == nullptr ? nullptr : reinterpret_cast<Function>(dlsym(library, name));
}

double clock_of(void* library, void* device, int which) {
  const auto clock = function<ClockInfo>(library, "nvmlDeviceGetClockInfo");
  unsigned mhz = 0;
  return clock != nullptr && clock(device, which, &mhz) == 0 ? mhz : 0;
}

}  // namespace

Nvml::Nvml(const std::string& bus_id) : library_(dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
  const auto init = function<Init>(library_, "nvmlInit_v2");
  const auto find = function<HandleByBusId>(library_, "nvmlDeviceGetHandleByPciBusId_v2");
  if (init == nullptr || find == nullptr || init() != 0 || find(bus_id.c_str(), &device_) != 0) device_ = nullptr;
}

Nvml::~Nvml() {
  if (library_ != nullptr) dlclose(library_);
}

Conditions Nvml::conditions() const {
  if (device_ == nullptr) return {};
  Conditions now;
  now.sm_mhz = clock_of(library_, device_, sm_clock);
  now.memory_mhz = clock_of(library_, device_, memory_clock);
  unsigned value = 0;
  const auto power = function<PowerUsage>(library_, "nvmlDeviceGetPowerUsage");
  if (power != nullptr && power(device_, &value) == 0) now.watts = value / 1000.0;
  const auto temperature = function<Temperature>(library_, "nvmlDeviceGetTemperature");
  if (temperature != nullptr && temperature(device_, gpu_sensor, &value) == 0) now.celsius = value;
  return now;
}

std::string Nvml::driver_version() const {
  const auto version = function<DriverVersion>(library_, "nvmlSystemGetDriverVersion");
  std::array<char, 96> text{};
  if (device_ == nullptr || version == nullptr || version(text.data(), text.size() - 1) != 0) return "";
  return text.data();
}

}  // namespace echelon
