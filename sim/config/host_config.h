// The `host:` section of a hardware profile: reader, writer and schema from one table of rows.
#pragma once

#include <string>

#include "sim/config/document.h"
#include "sim/hardware/host.h"

namespace echelon {

// Reads the section over what `host` holds already. Throws InputError.
void read_host(const Value& section, Host& host);

// YAML of the section's content, without the key `host:`, each line led by `indent` spaces; numbers that are not known
// are left out.
std::string write_host(const Host& host, int indent);

// JSON Schema in JSON text.
std::string host_type();

}  // namespace echelon
