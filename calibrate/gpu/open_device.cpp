#include "calibrate/gpu/open_device.h"

#include <dlfcn.h>

#include <filesystem>
#include <system_error>

namespace echelon {
namespace {

// What cuda/cuda_device.cu exports.
using OpenFunction = DeviceLayer* (*)(std::string* reason);
constexpr const char* module_name = "echelon_cuda.so";
constexpr const char* open_name = "echelon_open_cuda_device";

std::filesystem::path module_path() {
  std::error_code ignored;
  const auto folder = std::filesystem::read_symlink("/proc/self/exe", ignored).parent_path();
  for (const auto& path : {folder / module_name, folder / "../lib/echelon" / module_name})
    if (std::filesystem::exists(path, ignored)) return path;
  return {};
}

}  // namespace

OpenedDevice open_cuda_device() {
  const std::filesystem::path path = module_path();
  if (path.empty()) return {nullptr, "this program was built without a CUDA toolkit"};
  // The module stays loaded to the end: the device's code lives in it.
  void* const module = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (module == nullptr) return {nullptr, dlerror()};
  const auto open = reinterpret_cast<OpenFunction>(dlsym(module, open_name));
  if (open == nullptr) return {nullptr, dlerror()};
  OpenedDevice opened;
  opened.device.reset(open(&opened.reason));
  return opened;
}

}  // namespace echelon
