#include "sim/interop/csv.h"

#include <fstream>
#include <functional>
#include <string>

#include "tests/catch.h"

using namespace echelon;

namespace {

std::string message_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

std::string parse_error(const std::string& text) {
  return message_of([&] { CsvTable::parse(text, "t.csv"); });
}

}  // namespace

TEST_CASE("cells are found by column name and know their place") {
  const CsvTable table = CsvTable::parse("id,size\na,1\nb,2.5\n", "t.csv");
  REQUIRE(table.rows() == 2);
  const auto size = table.require_column("size");
  CHECK(table.cell(1, size).text == "2.5");
  CHECK(table.cell(1, size).line == 3);
  CHECK(table.cell(1, size).column == 3);
  CHECK(table.number(1, size) == 2.5);
  CHECK_FALSE(table.column("weight"));
}

TEST_CASE("quotes hold commas, line ends and doubled quotes") {
  const CsvTable table = CsvTable::parse("a,b\n\"x, \"\"y\"\"\",\"two\nlines\"\nnext,row\n", "t.csv");
  REQUIRE(table.rows() == 2);
  CHECK(table.cell(0, 0).text == "x, \"y\"");
  CHECK(table.cell(0, 1).text == "two\nlines");
  CHECK(table.line(1) == 4);  // header, then a row of two lines
}

TEST_CASE("a byte-order mark, CRLF, empty lines, comments and a missing last line end are taken") {
  const CsvTable table =
      CsvTable::parse("\xEF\xBB\xBF# where from, with a comma\r\na,b\r\n\r\n1,\r\n#note\r\n,2", "t.csv");
  REQUIRE(table.rows() == 2);
  CHECK(table.header()[0].text == "a");
  CHECK(table.number(0, 0) == 1);
  CHECK_FALSE(table.number(0, 1));
  CHECK(table.number(1, 1) == 2);
}

TEST_CASE("what is wrong in a CSV file is refused at its place") {
  CHECK(parse_error("") == "t.csv: the file is empty; a first line that names the columns");
  CHECK(parse_error("a,b,c\n1,22\n") == "t.csv:2:5: 2 cells, fewer than the header's 3; a cell for column 'c'");
  CHECK(parse_error("a,b\n1,2,3,4\n") ==
        "t.csv:2:5: 4 cells, more than the header's 2; as many cells as columns; a comma inside a cell needs quotes");
  CHECK(parse_error("a,b\n1,\"open\n2,3\n") == "t.csv:2:3: the quote is never closed; a closing quote");
  CHECK(parse_error("a,b\n\"1\"x,2\n") == "t.csv:2:4: text after the closing quote; a comma or the end of the line");
  CHECK(parse_error("a,b\n1,5\"\n") ==
        "t.csv:2:4: a quote inside an unquoted cell; the whole cell in quotes, with quotes inside it doubled");
  CHECK(parse_error("a,a\n") == "t.csv:1:3: column 'a' comes twice; it once");
  CHECK(parse_error("a,\n") == "t.csv:1:3: a column without a name; a name");
  CHECK(parse_error(std::string("a,b\n1,\0\n", 9)) == "t.csv:2:3: byte 0x00 is no text; a CSV file");
}

TEST_CASE("a bad number is refused with its column and place") {
  const CsvTable table = CsvTable::parse("id,size\nx,12 GB\ny,nan\nz,1e999\n", "t.csv");
  CHECK(message_of([&] { table.number(0, 1); }) ==
        "t.csv:2:3: column 'size': '12 GB' is no number; a finite decimal number or nothing");
  CHECK(message_of([&] { table.number(1, 1); }).find("t.csv:3:3:") == 0);
  CHECK(message_of([&] { table.number(2, 1); }).find("t.csv:4:3:") == 0);
}

TEST_CASE("a missing file and a folder are refused") {
  CHECK(message_of([] { CsvTable::read("no/such.csv"); }) == "no/such.csv: no such file; an existing CSV file");
  CHECK(message_of([] { CsvTable::read("."); }) == ".: not a file but a directory; a CSV file");
}
