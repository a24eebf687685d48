#include "sim/sweep/condition.h"

#include "tests/catch.h"

using namespace echelon;

namespace {

// a.x = 4, a.y = 6, a.word = 1f1b, a.truth = true.
bool holds(const std::string& text) {
  const Value source = parse_text("{condition: \"" + text + "\"}", "doc").at("condition");
  const std::vector<std::string> keys = {"a.x", "a.y", "a.word", "a.truth"};
  const Condition condition(source, [&](const std::string& key) -> std::size_t {
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (keys[i] == key) return i;
    source.fail("no key " + key, "");
  });
  const std::vector<ConditionValue> values = {4.0, 6.0, "1f1b", true};
  return condition.holds({&values[0], &values[1], &values[2], &values[3]});
}

std::string error_of(const std::string& text) {
  try {
    holds(text);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("conditions compute and compare") {
  CHECK(holds("a.x * a.y <= 24"));
  CHECK(!holds("a.x * a.y < 24"));
  CHECK(holds("a.y % a.x == 2"));
  CHECK(holds("a.x + a.y * 2 == 16"));  // 4 + 12, not 20
  CHECK(holds("(a.x + a.y) * 2 == 20"));
  CHECK(holds("a.y - a.x - 1 == 1"));  // from the left
  CHECK(holds("a.y / a.x >= 1.5"));
  CHECK(holds("a.x != 5"));
}

TEST_CASE("conditions join with and, or and not, and compare words") {
  CHECK(holds("a.x == 5 or a.y == 6 and a.word == 1f1b"));  // and binds tighter
  CHECK(!holds("(a.x == 4 or a.y == 6) and a.word == interleaved"));
  CHECK(holds("not a.x == 5"));
  CHECK(holds("not not a.x == 4"));
  CHECK(holds("a.word != gpipe"));
  CHECK(holds("not (a.x == 4 and a.word == gpipe)"));
}

TEST_CASE("true and false are what a document reads as such") {
  CHECK(holds("a.truth"));
  CHECK(holds("a.truth == yes and a.truth == True and a.truth != false and a.truth != no"));
  CHECK(holds("not (a.truth == no)"));
  CHECK(condition_value("False") == ConditionValue(false));
  CHECK(condition_value("none") == ConditionValue("none"));
}

TEST_CASE("a condition that makes no sense is refused with its place") {
  CHECK(error_of("a.x <=") == "doc:1:13: the condition stops making sense at ''; expected a key, a number or a word");
  CHECK(error_of("a.x = 4").find("stops making sense at '= 4'") != std::string::npos);
  CHECK(error_of("(a.x == 4").find("expected ')'") != std::string::npos);
  CHECK(error_of("a.x").find("neither true nor false") != std::string::npos);
  CHECK(error_of("a.word < 3").find("takes '1f1b' for a number") != std::string::npos);
  CHECK(error_of("a.truth < 3").find("takes 'true' for a number") != std::string::npos);
  CHECK(error_of("a.z == 3").find("no key a.z") != std::string::npos);
  CHECK(error_of("x == 3").find("no key x") != std::string::npos);
  CHECK(error_of("3 < x").find("no key x") != std::string::npos);
  CHECK(error_of("x * 2 == a.y").find("no key x") != std::string::npos);
  CHECK(error_of("a.x / 0 == 1").find("divides by 0") != std::string::npos);
  CHECK(error_of("a.x % (a.y - 6) == 1").find("divides by 0") != std::string::npos);
  CHECK(error_of("").find("expected a key") != std::string::npos);
  CHECK(error_of(std::string(1000, '(')).find("fewer levels") != std::string::npos);
  CHECK(error_of("a.x == 4 == (a.y == 6)").find("computes with what is true or false") != std::string::npos);
}
