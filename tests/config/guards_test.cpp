// Documents that are no documents: each is refused with its place, soon and in little memory.
#include <chrono>
#include <fstream>
#include <random>

#include "tests/catch.h"
#include "tests/config/config_test.h"

namespace echelon {

namespace {

using test::error_of;
using test::parse_error;

std::string repeated(const std::string& text, std::size_t times) {
  std::string result;
  result.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("bad documents name the place", "[config]") {
  struct Row {
    std::string text;
    std::string message;
  };
  const Row rows[] = {
      {"", "doc: the document is empty"},
      {"# only a comment\n", "doc: the document is empty"},
      {"---\n", "doc: the document is empty"},
      {"a: 1\nb: 2\na: 3\n", "doc:3:1: key 'a' is there twice, first in line 1; expected each key once"},
      {"{\"a\": 1, \"a\": 2}", "doc:1:10: key 'a' is there twice"},
      {"a: &x [1, *x]\n", "doc:1:11: this alias stands inside the value that it names"},
      {"a: &x\n  b: *x\n", "doc:2:6: this alias stands inside the value that it names"},
      {"a: *nowhere\n", "doc:1:4: the referenced anchor is not defined"},
      {"a: 1\n---\nb: 1\n", "doc:2:1: a second document begins here"},
      {"[1, 2] foo\n", "doc:1:8: a second document begins here"},
      {"a: !!python/object x\n", "doc:1:4: tag 'tag:yaml.org,2002:python/object' is not used here"},
      {"a: !t [1]\n", "doc:1:4: tag '!t' is not used here"},
      {"b: &b {x: 1}\na:\n  <<: *b\n", "doc:3:3: merge keys ('<<') are not read"},
      {"? [a]\n: 1\n", "doc:1:3: a bracketed or empty value stands where a key should"},
      {"? {a: b}\n: 1\n", "doc:1:3: a bracketed or empty value stands where a key should"},
      {"~: 1\n", "doc:1:1: a bracketed or empty value stands where a key should"},
      {"a: b: c\n", "doc:1:5: illegal map value"},
      {std::string("a: x\0y\n", 7), "doc:1:5: byte 0x00 is no text"},
      {"a: \"x\\0y\"\n", "doc:1:4: the text contains a NUL character"},
      {"a: 1\nb: caf\xE9\n", "doc:2:7: byte 0xE9 is no text; expected YAML or JSON in UTF-8"},
      {"a: \xC0\xAF\n", "doc:1:4: byte 0xC0 is no text"},      // overlong
      {"a: \xED\xA0\x80\n", "doc:1:4: byte 0xED is no text"},  // surrogate
      {"a: \xF4\x90\x80\x80\n", "doc:1:4: byte 0xF4 is no text"},
      {std::string("\xFF\xFE"
                   "a\0:\0",
                   6),
       "doc:1:1: byte 0xFF is no text"},  // UTF-16
      {"a: \x1B[31m\n", "doc:1:4: byte 0x1B is no text"},
  };
  for (const Row& row : rows) {
    INFO(row.text);
    CHECK(parse_error(row.text).substr(0, row.message.size()) == row.message);
  }
}

TEST_CASE("files that are none", "[config]") {
  CHECK(error_of([] { parse_file("/nonexistent/x.yaml"); }) ==
        "/nonexistent/x.yaml: no such file; expected a YAML or JSON file");
  CHECK(error_of([] { parse_file("/"); }) == "/: this is a directory; expected a YAML or JSON file");
  CHECK(error_of([] { parse_file(std::string(5000, 'x')); }).find("no such file") != std::string::npos);
  CHECK(error_of([] { parse_file("/dev/zero"); }).substr(0, 20) == "/dev/zero:1:1: byte ");
}

TEST_CASE("ten megabytes of random bytes", "[config]") {
  const auto file = std::filesystem::temp_directory_path() / "echelon_random_bytes.yaml";
  std::mt19937 random(7);
  std::string bytes(10'000'000, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random() & 0xFF);
  std::ofstream(file, std::ios::binary) << bytes;
  CHECK(contains(error_of([&] { parse_file(file); }), "is no text; expected YAML or JSON in UTF-8"));
  std::filesystem::remove(file);
}

TEST_CASE("huge and hostile texts are refused within a second", "[config]") {
  std::string bomb = "a0: &a0 [1,1,1,1,1,1,1,1,1]\n";
  for (int i = 1; i < 40; ++i) {
    bomb += fmt::format("a{}: &a{} [*a{}", i, i, i - 1);
    for (int j = 0; j < 8; ++j) bomb += fmt::format(",*a{}", i - 1);
    bomb += "]\n";
  }
  std::string stairs;
  for (std::size_t i = 0; i < 2000; ++i) stairs += std::string(i, ' ') + "a:\n";
  std::string deep_alias = "a0: &a0 [1]\n";
  for (int i = 1; i < 100; ++i) deep_alias += fmt::format("a{}: &a{} [*a{}]\n", i, i, i - 1);
  struct Row {
    std::string text;
    std::string message;
  };
  const Row rows[] = {
      {bomb, "doc:6:14: the document has too many values"},
      {repeated("[", 100'000), "doc:1:"},
      {repeated("[", 100'000) + repeated("]", 100'000), "doc:1:65: values are nested more than 64 deep"},
      {repeated("{a: ", 100'000) + repeated("}", 100'000), "doc:1:"},
      {repeated("[", 4'000'000), "doc: the document has too many values"},
      {repeated("- ", 100'000) + "x", "doc:1:129: values are nested more than 64 deep"},
      {repeated("? ", 100'000), "doc:1:3: a bracketed or empty value"},
      {stairs, "doc:65:65: values are nested more than 64 deep"},
      {deep_alias, "doc:64:12: values are nested more than 64 deep"},
      {"a: [" + repeated("1,", 300'000) + "1]", "doc:1:"},
      {"a:\n" + repeated("- 1\n", 300'000), "doc:"},
      {"a: " + repeated("x", 5'000'000), "doc: the file is too large; a document has at most 4 MiB"},
      {repeated("\"", 4'000'000), "doc:1:3: a second document begins here"},
      {"{" + repeated(": ", 2'000'000) + "}", "doc:1:2: a bracketed or empty value"},
  };
  for (const Row& row : rows) {
    INFO(row.text.substr(0, 40));
    const auto start = std::chrono::steady_clock::now();
    CHECK(parse_error(row.text).substr(0, row.message.size()) == row.message);
    CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(5));  // a slow or sanitized build included
  }
}

}  // namespace echelon
