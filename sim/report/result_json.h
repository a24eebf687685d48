// A result as JSON, with the fields that other tools rely on.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "sim/metrics/result.h"

namespace echelon {

nlohmann::ordered_json result_to_json(const Result& result);

}  // namespace echelon
