#include "sim/interop/truth_table.h"

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>

#include "sim/base/error.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

std::string parse_error(const std::string& text) {
  try {
    parse_truth(text, "t.csv");
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("a row keeps text, counts and numbers; blanks and absent columns are empty") {
  const auto rows = parse_truth("id,model,layers,iter_time_s,dp,notes\nr1,gpt,32,0.5,,\"a, b\"\n", "t.csv");
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].id == "r1");
  CHECK(rows[0].layers == 32);
  CHECK(rows[0].iter_time_s == 0.5);
  CHECK_FALSE(rows[0].dp);
  CHECK_FALSE(rows[0].tp);
  CHECK(rows[0].notes == "a, b");
  CHECK(rows[0].line == 2);
  CHECK(truth_text(rows[0], "layers") == std::optional<std::string>("32"));
  CHECK(truth_text(rows[0], "tp") == std::optional<std::string>(""));
  CHECK_FALSE(truth_text(rows[0], "no_such"));
}

TEST_CASE("bad cells of a truth table are refused at their place") {
  CHECK(parse_error("model\ngpt\n") == "t.csv:1:1: no column 'id'; a header that names it");
  CHECK(parse_error("id,layers\n,3\n") == "t.csv:2:1: column 'id': blank; a name for the row");
  CHECK(parse_error("id,layers\na,3.5\n") ==
        "t.csv:2:3: column 'layers': 3.5 is no count; a whole number of at least 1");
  CHECK(parse_error("id,layers\na,0\n") == "t.csv:2:3: column 'layers': 0 is no count; a whole number of at least 1");
  CHECK(parse_error("id,mfu\na,-1\n") == "t.csv:2:3: column 'mfu': -1 is negative; a number of at least 0");
  CHECK(parse_error("id,mfu\na,high\n") ==
        "t.csv:2:3: column 'mfu': 'high' is no number; a finite decimal number or nothing");
}

// The number of rows of each table, as scenarios/truth/README.md states it.
const std::map<std::string, std::size_t> shipped_rows = {
    {"bloom_bigscience.csv", 74}, {"fms_fsdp.csv", 4},        {"llm_foundry.csv", 104},   {"megatron_bridge.csv", 154},
    {"megatron_papers.csv", 38},  {"nanotron_pp1.csv", 299},  {"nemo_docs.csv", 36},      {"simumax.csv", 31},
    {"torchtitan.csv", 17},       {"vocab_artifact.csv", 40}, {"vocab_parallel.csv", 92}, {"vtrain_multi.csv", 64},
    {"vtrain_single.csv", 745},   {"zero_bubble.csv", 59},
};

TEST_CASE("every truth table that ships can be read") {
  std::map<std::string, std::size_t> rows;
  for (const auto& entry : std::filesystem::directory_iterator(ECHELON_SOURCE_DIR "/scenarios/truth"))
    if (entry.path().extension() == ".csv") rows[entry.path().filename().string()] = read_truth(entry.path()).size();
  CHECK(rows == shipped_rows);
}
