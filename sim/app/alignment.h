// Sizes that keep tensor cores off their fast path.
#pragma once

#include <string>
#include <vector>

#include "strategies/lower.h"

namespace echelon {

// One sentence for each kind of product on a rank whose sizes do not fit: what is wrong, and the next size that would
// do.
std::vector<std::string> alignment_warnings(const Lowering& lowering);

}  // namespace echelon
