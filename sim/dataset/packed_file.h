// A gzip file of lines: written whole or not at all, read line by line in memory that does not grow with it.
#pragma once

#include <zlib.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace echelon {

// What a manifest says of a file beside it, packed and unpacked.
struct PackedFile {
  std::string name;
  std::int64_t bytes = 0;
  std::string sha256;
  std::int64_t unpacked_bytes = 0;
  std::string unpacked_sha256;
};

// Packs `from` into `to`, under another name until it is whole and on the disk. Throws InputError where one cannot be
// read or the other not be written.
PackedFile pack(const std::filesystem::path& from, const std::filesystem::path& to);

// Throws InputError where the file in `folder` is not there or not the one that the record tells of.
void check_packed(const std::filesystem::path& folder, const PackedFile& file);

// The lines of a gzip file, or of a plain one.
class PackedReader {
 public:
  // Throws InputError where it cannot be opened.
  explicit PackedReader(const std::filesystem::path& file);

  // The next line without its end, valid until the next call; false behind the last. Throws InputError where the file
  // is broken.
  bool next(std::string_view& line);
  // Of the line that next() gave, counted from 1.
  std::int64_t line_number() const { return line_number_; }
  const std::filesystem::path& file() const { return path_; }

 private:
  struct Close {
    void operator()(gzFile_s* file) const { gzclose(file); }
  };
  bool fill();

  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, Close> file_;
  std::vector<char> buffer_;
  std::size_t first_ = 0;  // of what is not given out
  std::size_t end_ = 0;
  std::int64_t line_number_ = 0;
};

}  // namespace echelon
