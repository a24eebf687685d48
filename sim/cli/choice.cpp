#include "sim/cli/choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "sim/config/document.h"

namespace echelon {

void refuse_choice(const std::string& place, const std::string& word, const std::string& kind,
                   const std::string& names) {
  std::vector<std::string> known;
  for (std::size_t first = 0; first < names.size();) {
    const std::size_t end = std::min(names.find(", ", first), names.size());
    known.push_back(names.substr(first, end - first));
    first = end + 2;
  }
  const auto near = nearest(word, known);
  throw InputError({place.empty() ? word : place + " " + word, 0, 0}, "there is no such " + kind,
                   near ? fmt::format("did you mean '{}'? (one of: {})", *near, names) : "expected one of: " + names);
}

}  // namespace echelon
