// The `network:` section of a hardware profile <-> Network. The unit stands in every key.
#pragma once

#include <string>
#include <vector>

#include "sim/config/document.h"
#include "sim/config/number_rows.h"
#include "sim/hardware/network.h"

namespace echelon {

// Throws InputError for missing or unknown keys and numbers out of bounds.
Network network_from_yaml(const Value& value);

// The section's body, every line indented by `indent` spaces.
std::string network_to_yaml(const Network& network, int indent);

// Every number but measured scaling, its key led by `network.`.
std::vector<NamedNumber> network_numbers(const Network& network);

// JSON Schema of the section, in JSON text.
std::string network_type();

}  // namespace echelon
