// A word on the command line that must be one of several.
#pragma once

#include <string>

namespace echelon {

// Throws the InputError of a word that is none of the `names`, which stand as "a, b, c": with the one that is meant,
// where one is near. `place`: "--method", or nothing for an argument; `kind`: "method".
[[noreturn]] void refuse_choice(const std::string& place, const std::string& word, const std::string& kind,
                                const std::string& names);

}  // namespace echelon
