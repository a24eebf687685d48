// A library that is loaded when it is first asked for: without it all else can still be measured.
#pragma once

#include <dlfcn.h>

#include <string>

#include "calibrate/gpu/cuda/errors.h"

namespace echelon {

// Base of a struct that has a library's functions as members, each initialised by its name:
//   decltype(&ncclSend) send = function("ncclSend");
class SharedLibrary {
 protected:
  // Throws Unsupported where it cannot be loaded. It stays loaded to the end of the process.
  explicit SharedLibrary(const char* name) : name_(name), handle_(dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) throw Unsupported(dlerror());
  }

  // An address that becomes whatever function it is given to.
  struct Address {
    void* at;
    template <class Function>
    operator Function*() const {  // NOLINT(google-explicit-constructor): that is what it is for
      return reinterpret_cast<Function*>(at);
    }
  };

  // Throws Unsupported where the library has none of that name.
  Address function(const char* name) const {
    void* const found = dlsym(handle_, name);
    if (found == nullptr) throw Unsupported(name_ + " has no " + name);
    return {found};
  }

 private:
  std::string name_;
  void* handle_;
};

// The one copy of a library's functions. Throws Unsupported without the library.
template <class Library>
const Library& loaded() {
  static const Library library;
  return library;
}

}  // namespace echelon
