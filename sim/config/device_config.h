// The `device:` section of a hardware profile: reader, writer and schema from one table of rows a mapping.
#pragma once

#include <string>
#include <vector>

#include "sim/config/document.h"
#include "sim/config/number_rows.h"
#include "sim/hardware/device.h"

namespace echelon {

// Reads the section over what `device` holds already. Throws InputError.
void read_device(const Value& section, Device& device);

// YAML of the section's content, without the key `device:`, each line led by `indent` spaces.
std::string write_device(const Device& device, int indent);

// Every number outside the curves, its key led by `device.`.
std::vector<NamedNumber> device_numbers(const Device& device);

// JSON Schema in JSON text.
std::string device_type();

}  // namespace echelon
