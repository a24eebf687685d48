// Mutated scenarios: each is read or refused with an InputError, nothing else.
#include <random>

#include "tests/catch.h"
#include "tests/config/config_test.h"

namespace echelon {

namespace {

// One random edit: a byte, a cut, a doubled piece, or one of the pieces that parsers trip over.
void mutate(std::string& text, std::mt19937& random) {
  static const char* const pieces[] = {"[",     "]",    "{",
                                       "}",     ":",    ": ",
                                       ", ",    "\n",   "- ",
                                       "? ",    "&a ",  "*a",
                                       "!!x ",  "|",    ">\n",
                                       "\"",    "'",    "#",
                                       "---",   "...",  "\t",
                                       "%",     "~",    "null",
                                       "-1",    "0",    "1e99",
                                       "1e999", ".nan", ".inf",
                                       "auto",  "<<:",  "\xC3\xA9",
                                       "\\0",   "@",    "`",
                                       "\r\n",  "0x1",  "99999999999999999999"};
  const std::size_t place = random() % (text.size() + 1);
  switch (random() % 4) {
    case 0:
      if (place < text.size()) text[place] = static_cast<char>(random() % 2 ? 32 + random() % 95 : random() % 256);
      break;
    case 1:
      text.erase(place, 1 + random() % 12);
      break;
    case 2:
      text.insert(place, text.substr(random() % text.size(), 1 + random() % 40));
      break;
    default:
      text.insert(place, pieces[random() % std::size(pieces)]);
  }
  if (text.empty()) text = "a";
}

}  // namespace

TEST_CASE("mutated scenarios are read or refused", "[config]") {
  std::mt19937 random(20240229);
  int read = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string text(test::whole_scenario);
    const unsigned edits = 1 + random() % 4;
    for (unsigned i = 0; i < edits; ++i) mutate(text, random);
    INFO(text);
    try {
      const Scenario scenario = test::scenario_of(text);
      CHECK(scenario.strategy.mesh.ranks() == scenario.gpus);
      ++read;
    } catch (const InputError& error) {
      CHECK(std::string(error.what()).size() < 4000);
    }
  }
  CHECK(read > 5);     // some edits are harmless
  CHECK(read < 1500);  // most are not
}

TEST_CASE("mutated overrides are applied or refused", "[config]") {
  std::mt19937 random(20240301);
  const Value root = parse_text(test::whole_scenario, "doc");
  for (int round = 0; round < 1000; ++round) {
    std::string assignment = "strategy.tensor_parallel=4";
    mutate(assignment, random);
    INFO(assignment);
    try {
      const Value changed = with_overrides(root, {assignment});
      CHECK(changed.is_mapping());
    } catch (const InputError& error) {
      CHECK(std::string(error.what()).substr(0, 6) == "--set ");
    }
  }
}

}  // namespace echelon
