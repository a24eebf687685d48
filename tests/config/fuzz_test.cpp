// Mutated scenarios: each is read or refused with an InputError, nothing else.
#include <random>

#include "sim/config/graph_config.h"
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

TEST_CASE("mutated graphs of operators are read or refused", "[config]") {
  const std::string graph =
      "input: {a: [3, 32, 32], b: [16]}\nblocks: {pair: {parameters: [n], inputs: [x, y], layers: [{op: convolution, "
      "channels: $n, kernel: 3, padding: 1, norm: batch_norm, inputs: x, name: z}, {op: concat, inputs: [z, "
      "y]}]}}\nlayers:\n"
      "  - {block: pair, n: 8, inputs: [a, a], repeat: 2}\n  - {op: pooling, kind: max, kernel: 2}\n  - {op: reshape}\n"
      "  - {op: dense, features: 64, function: relu}\n  - {op: reshape, shape: [8, 8]}\n"
      "  - {op: attention, heads: 2}\n  - {op: recurrent, cell: lstm, features: 8, repeat: 3}\n"
      "  - {op: embedding, rows: 10, features: 4, inputs: b}\n  - {op: custom, shape: [5], forward_flops: 1e9}\n";
  std::mt19937 random(20240301);
  int read = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string text = graph;
    const unsigned edits = round == 0 ? 0 : 1 + random() % 4;
    for (unsigned i = 0; i < edits; ++i) mutate(text, random);
    INFO(text);
    try {
      const Model model = graph_model_from_yaml(parse_text(text, "doc"));
      CHECK(parameter_count(model) >= 0);
      ++read;
    } catch (const InputError& error) {
      CHECK(std::string(error.what()).size() < 4000);
    }
  }
  CHECK(read > 0);
}

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
