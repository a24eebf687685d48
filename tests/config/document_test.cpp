#include "sim/config/document.h"

#include "tests/catch.h"
#include "tests/config/config_test.h"

namespace echelon {

using test::error_of;
using test::parse_error;

TEST_CASE("values know where they stand", "[config]") {
  const Value root = parse_text("a: 1\nb:\n  c: [x, y]\n", "doc");
  const Value item = root.at("b").at("c").items().at(1);
  CHECK(item.path() == "b.c[1]");
  CHECK(item.where().file == "doc");
  CHECK(item.where().line == 3);
  CHECK(item.where().column == 10);
  CHECK(item.text() == "y");
  CHECK(root.keys() == std::vector<std::string>{"a", "b"});
}

TEST_CASE("numbers are decimal, finite and bare", "[config]") {
  const auto value = [](const std::string& text) { return parse_text("n: " + text, "doc").at("n"); };
  CHECK(value("1e3").number() == 1000);
  CHECK(value("-2.5").number() == -2.5);
  CHECK(value("+.5").number() == 0.5);
  CHECK(value("9007199254740993").integer() == 9007199254740993);  // beyond a double's exact range
  CHECK(value("4.0").integer() == 4);
  CHECK(value("1e3").integer() == 1000);
  CHECK(value("+7").integer() == 7);
  for (const char* wrong :
       {".nan", "nan", ".inf",   "-.inf", "Infinity", "1e999", "-1e999", "1_000", "0x10",  "\"4\"", "'4'",
        "four", "[4]", "{a: 4}", "1e",    "e3",       ".",     "+",      "+-1",   "1.2.3", "4 5",   "true"}) {
    INFO(wrong);
    CHECK(error_of([&] { value(wrong).number(); }).substr(0, 13) == "doc:1:4: n is");
    CHECK(error_of([&] { value(wrong).integer(); }).substr(0, 13) == "doc:1:4: n is");
  }
  for (const char* wrong : {"4.5", "1e-3", "9223372036854775808", "1e300"}) {
    INFO(wrong);
    CHECK(error_of([&] { value(wrong).integer(); }).substr(0, 13) == "doc:1:4: n is");
  }
  CHECK(error_of([&] { value("0").integer(1, 10); }) == "doc:1:4: n is '0'; expected an integer from 1 to 10");
  CHECK(error_of([&] { value("1e18").integer(1, 10); }) == "doc:1:4: n is '1e18'; expected an integer from 1 to 10");
  CHECK(error_of([&] { value("-1").number(0, 1e308); }).find("expected a number from 0 to 1e+308") !=
        std::string::npos);
}

TEST_CASE("booleans, texts and choices", "[config]") {
  const auto value = [](const std::string& text) { return parse_text("n: " + text, "doc").at("n"); };
  for (const char* yes : {"true", "True", "yes"}) CHECK(value(yes).boolean());
  for (const char* no : {"false", "FALSE", "no"}) CHECK_FALSE(value(no).boolean());
  CHECK(error_of([&] { value("1").boolean(); }) == "doc:1:4: n is '1'; expected true or false");
  CHECK(value("70").text() == "70");
  CHECK(value("'a b'").text() == "a b");
  CHECK(error_of([&] { value("[a]").text(); }) == "doc:1:4: n is a sequence; expected a text");
  CHECK(value("zb_h1").one_of<ScheduleKind>() == ScheduleKind::zb_h1);
  CHECK(error_of([&] {
          value("interleavd").one_of<ScheduleKind>();
        }).find("n is 'interleavd'; did you mean 'interleaved'?") != std::string::npos);
  CHECK(error_of([&] { value("fastest").one_of<ScheduleKind>(); }).find("; expected one of: gpipe, 1f1b") !=
        std::string::npos);
}

TEST_CASE("misspelt, missing and unknown keys", "[config]") {
  const Value root = parse_text("model:\n  hiden: 4\n  layers: 2\n", "doc");
  const Value model = root.at("model");
  CHECK(error_of([&] { model.at("hidden"); }) ==
        "doc:2:3: unknown key 'hiden' in model; did you mean 'hidden', which is missing?");
  CHECK(error_of([&] { model.at("vocabulary"); }) ==
        "doc:2:3: missing key 'vocabulary' in model; expected 'vocabulary: VALUE'");
  CHECK_FALSE(model.find("heads"));
  CHECK(error_of([&] { model.finish(); }) == "doc:2:3: unknown key 'hiden' in model; did you mean 'hidden'?");
  model.accept_unknown();
  CHECK(error_of([&] { model.finish(); }).empty());
  CHECK(error_of([&] { root.finish(); }).empty());
  const Value other = parse_text("zzzzzz: 1\n", "doc");
  other.find("model");
  CHECK(error_of([&] { other.finish(); }) == "doc:1:1: unknown key 'zzzzzz' in the document; expected one of: model");
  CHECK(error_of([&] { other.at("zzzzzz").at("x"); }).substr(0, 18) == "doc:1:9: zzzzzz is");
}

TEST_CASE("a key that nobody knows is told before one that is missing, once all are asked for", "[config]") {
  const Value model = parse_text("nam: 3\n", "doc");
  model.find("name");
  model.all_asked();
  CHECK(error_of([&] { model.at("layers"); }) == "doc:1:1: unknown key 'nam' in the document; did you mean 'name'?");
}

TEST_CASE("null is absent", "[config]") {
  const Value root = parse_text("a:\nb: ~\nc: null\nd: \"null\"\n", "doc");
  CHECK_FALSE(root.find("a"));
  CHECK_FALSE(root.find("b"));
  CHECK_FALSE(root.find("c"));
  CHECK(root.at("d").text() == "null");
  CHECK(error_of([&] { root.at("a"); }) == "doc:1:1: missing key 'a' in the document; expected 'a: VALUE'");
}

TEST_CASE("nearest finds slips of the hand", "[config]") {
  const std::vector<std::string> known = {"tensor_parallel", "micro_batch", "tp", "dp"};
  CHECK(nearest("tensor_paralel", known) == "tensor_parallel");
  CHECK(nearest("Tensor_Parallel", known) == "tensor_parallel");
  CHECK(nearest("micro_btach", known) == "micro_batch");  // neighbours swapped: one edit
  CHECK(nearest("pt", known) == "tp");
  CHECK_FALSE(nearest("global_norm", known));
  CHECK_FALSE(nearest("", known));
  CHECK_FALSE(nearest(std::string(1000, 'x'), known));
}

TEST_CASE("JSON, CRLF and a byte-order mark are read", "[config]") {
  const Value json = parse_text("{\"a\": [1, 2.5, null, true],\n\t\"b\": {\"c\": \"x\\ny\"}}", "doc");
  CHECK(json.at("a").items().size() == 4);
  CHECK(json.at("a").items()[2].is_null());
  CHECK(json.at("b").at("c").text() == "x\ny");
  const Value windows = parse_text(
      "\xEF\xBB\xBF"
      "a: 1\r\nb:\r\n  c: x\r\n",
      "doc");
  CHECK(windows.at("a").integer() == 1);
  CHECK(windows.at("b").at("c").text() == "x");
  CHECK(windows.at("b").at("c").where().line == 3);
  CHECK(windows.at("b").at("c").where().column == 6);
}

TEST_CASE("aliases share their value", "[config]") {
  const Value root = parse_text("a: &x {k: 1}\nb: *x\nc: [*x, *x]\n", "doc");
  CHECK(root.at("b").at("k").integer() == 1);
  CHECK(root.at("b").at("k").path() == "b.k");
  CHECK(root.at("c").items()[1].at("k").integer() == 1);
}

TEST_CASE("overrides replace, add and unset", "[config]") {
  const Value root = parse_text("strategy:\n  tp: 2\n  pp: 3\nname: x\n", "doc");
  const Value set = with_overrides(root, {"strategy.tp=8", "strategy.order=[a, b]", "new.deep.key=1", "name="});
  for (const char* nothing : {"name=null", "name= ~"}) CHECK_FALSE(with_overrides(root, {nothing}).find("name"));
  CHECK(set.at("strategy").at("tp").integer() == 8);
  CHECK(set.at("strategy").at("pp").integer() == 3);
  CHECK(set.at("strategy").at("order").items().size() == 2);
  CHECK(set.at("new").at("deep").at("key").integer() == 1);
  CHECK_FALSE(set.find("name"));
  CHECK(root.at("strategy").at("tp").integer() == 2);
  CHECK_FALSE(root.find("new"));
}

TEST_CASE("overrides stand for themselves in messages", "[config]") {
  const Value root = parse_text("strategy: {tp: 2}\n", "doc");
  const auto strategy = [&](const std::string& assignment) {
    return with_overrides(root, {assignment}).at("strategy");
  };
  CHECK(error_of([&] { strategy("strategy.tp=x").at("tp").integer(); }) ==
        "--set strategy.tp=x: strategy.tp is 'x'; expected an integer");
  CHECK(error_of([&] {
          const Value value = strategy("strategy.ttp=4");
          value.find("tp");
          value.finish();
        }) == "--set strategy.ttp=4: unknown key 'ttp' in strategy; did you mean 'tp'?");
  CHECK(error_of([&] { strategy("strategy"); }).substr(0, 32) == "--set strategy: there is no '=';");
  CHECK(error_of([&] { strategy("=4"); }).substr(0, 34) == "--set =4: '' is no path of keys; e");
  CHECK(error_of([&] { strategy("a..b=4"); }).substr(0, 14) == "--set a..b=4: ");
  CHECK(error_of([&] { strategy("strategy.tp.x=4"); }).substr(0, 38) == "--set strategy.tp.x=4: 'tp' has no key");
  CHECK(error_of([&] { strategy("strategy.tp=[4"); }).substr(0, 22) == "--set strategy.tp=[4: ");
  CHECK(error_of([&] { strategy("strategy.tp=[1]").at("tp").items()[0].integer(2, 3); }).substr(0, 23) ==
        "--set strategy.tp=[1]: ");
}

TEST_CASE("a key that is to be set in what is no mapping is refused at the mistake", "[config]") {
  const Value document = parse_text("cluster: .nan\nstrategy: {micro_batch: 1}\n", "doc");
  const Value variant = parse_text("gpus: [8]\n", "doc");
  CHECK(error_of([&] {
          with_values(document, {{"cluster.gpus", variant.at("gpus")}});
        }) == "doc:1:10: 'cluster' has no keys, and 'gpus' is to be set in it; expected a mapping");
  CHECK(error_of([&] {
          with_values(document.at("cluster"), {{"gpus", variant.at("gpus")}});
        }) == "doc:1:10: what stands here has no keys, and 'gpus' is to be set in it; expected a mapping");
  CHECK(error_of([&] { with_overrides(document, {"strategy.micro_batch.x=2"}); }) ==
        "--set strategy.micro_batch.x=2: 'micro_batch' has no keys, and 'x' is to be set in it; expected the path of a "
        "key, such as strategy.tensor_parallel");
}

}  // namespace echelon
