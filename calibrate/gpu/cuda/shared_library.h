// A library that is loaded when it is first asked for: without it all else can still be measured.
#pragma once

#include <dlfcn.h>

#include <string>

#include "calibrate/gpu/cuda/errors.h"

namespace echelon {

class SharedLibrary {
 public:
  // Throws Unsupported where it cannot be loaded. It stays loaded to the end of the process.
  explicit SharedLibrary(const char* name) : name_(name), handle_(dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) throw Unsupported(dlerror());
  }

  // Finds a function. Throws Unsupported where the library has none of that name.
  template <class Function>
  void find(Function*& function, const char* name) const {
    function = reinterpret_cast<Function*>(dlsym(handle_, name));
    if (function == nullptr) throw Unsupported(name_ + " has no " + name);
  }

 private:
  std::string name_;
  void* handle_;
};

}  // namespace echelon
