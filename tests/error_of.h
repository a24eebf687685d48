#pragma once

#include <string>

#include "sim/base/error.h"

namespace echelon::test {

// The message of the InputError that `action` throws; empty where it throws none.
template <class Action>
std::string error_of(Action&& action) {
  try {
    action();
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace echelon::test
