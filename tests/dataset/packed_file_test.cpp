#include "sim/dataset/packed_file.h"

#include <fstream>

#include "sim/dataset/sha256.h"
#include "tests/catch.h"
#include "tests/dataset/small_dataset.h"

using namespace echelon;
using echelon::test::DatasetFolder;
using echelon::test::error_of;

TEST_CASE("SHA-256 of the examples of NIST") {
  // csrc.nist.gov, Cryptographic Standards and Guidelines, "Examples with Intermediate Values": SHA256.pdf; the last is
  // the long message of FIPS 180-2, appendix B.3.
  CHECK(sha256_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_of(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 does not depend on how the bytes come") {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i % 251);
  for (std::size_t piece = 1; piece < 140; ++piece) {
    Sha256 digest;
    for (std::size_t at = 0; at < text.size(); at += piece) digest.add(std::string_view(text).substr(at, piece));
    CHECK(digest.hex() == sha256_of(text));
  }
}

TEST_CASE("lines come back from a packed file, however long") {
  const DatasetFolder folder("lines");
  std::vector<std::string> lines;
  for (int i = 0; i < 2000; ++i) lines.emplace_back(static_cast<std::size_t>(i % 97), static_cast<char>('a' + i % 26));
  lines.emplace_back(1'000'000, 'x');
  lines.emplace_back("the end");
  {
    std::ofstream out(folder.path() / "lines.txt");
    for (const std::string& line : lines) out << line << '\n';
  }
  const PackedFile record = pack(folder.path() / "lines.txt", folder.path() / "lines.txt.gz");
  CHECK(record.unpacked_sha256 == sha256_of_file(folder.path() / "lines.txt"));
  CHECK(record.bytes < record.unpacked_bytes / 10);
  for (const char* name : {"lines.txt", "lines.txt.gz"}) {
    PackedReader reader(folder.path() / name);
    std::string_view line;
    std::size_t count = 0;
    bool same = true;
    while (reader.next(line)) same = same && count < lines.size() && line == lines[count++];
    CHECK(same);
    CHECK(count == lines.size());
  }
}

TEST_CASE("every damaged byte of a packed file is told") {
  const DatasetFolder folder("damage");
  const auto file = folder.path() / "a.gz";
  std::ofstream(folder.path() / "a") << "one\ntwo\nthree\n";
  const PackedFile record = pack(folder.path() / "a", file);
  check_packed(folder.path(), record);
  for (std::int64_t at = 0; at < record.bytes; ++at) {
    std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekg(at);
    const char old = static_cast<char>(bytes.get());
    bytes.seekp(at);
    bytes.put(static_cast<char>(old ^ 1));
    bytes.flush();
    CHECK(error_of([&] { check_packed(folder.path(), record); }).find("is damaged: its SHA-256") != std::string::npos);
    bytes.seekp(at);
    bytes.put(old);
  }
  std::filesystem::resize_file(file, static_cast<std::uintmax_t>(record.bytes - 1));
  CHECK(error_of([&] { check_packed(folder.path(), record); }).find("the manifest says") != std::string::npos);
  std::filesystem::remove(file);
  CHECK(error_of([&] { check_packed(folder.path(), record); }).find("is missing") != std::string::npos);
}
