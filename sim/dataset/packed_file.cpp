#include "sim/dataset/packed_file.h"

#include <algorithm>
#include <cstring>
#include <fstream>

#include "sim/base/error.h"
#include "sim/dataset/sha256.h"

namespace echelon {

namespace {

constexpr std::size_t piece_size = std::size_t{1} << 16U;

struct CloseGz {
  void operator()(gzFile_s* file) const { gzclose(file); }
};

[[noreturn]] void fail_to_write(const std::filesystem::path& file) {
  throw InputError({file.string(), 0, 0}, "cannot be written", "expected a folder that can be written, with room");
}

}  // namespace

PackedFile pack(const std::filesystem::path& from, const std::filesystem::path& to) {
  const std::filesystem::path draft = to.string() + ".new";
  PackedFile record{to.filename().string(), 0, "", 0, ""};
  std::ifstream in(from, std::ios::binary);
  if (!in) throw InputError({from.string(), 0, 0}, "cannot be read", "expected a readable file");
  std::unique_ptr<gzFile_s, CloseGz> out(gzopen(draft.c_str(), "wb6"));
  if (out == nullptr) fail_to_write(draft);
  Sha256 digest;
  std::vector<char> piece(piece_size);
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0) {
    const auto size = static_cast<std::size_t>(in.gcount());
    digest.add({piece.data(), size});
    record.unpacked_bytes += in.gcount();
    if (gzwrite(out.get(), piece.data(), static_cast<unsigned>(size)) != static_cast<int>(size)) fail_to_write(draft);
  }
  if (gzclose(out.release()) != Z_OK) fail_to_write(draft);
  record.unpacked_sha256 = digest.hex();
  record.sha256 = sha256_of_file(draft);
  record.bytes = static_cast<std::int64_t>(std::filesystem::file_size(draft));
  std::error_code error;
  std::filesystem::rename(draft, to, error);
  if (error) fail_to_write(to);
  return record;
}

void check_packed(const std::filesystem::path& folder, const PackedFile& file) {
  const std::filesystem::path path = folder / file.name;
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  const char* right = "expected a whole copy of the data set";
  if (error) throw InputError({path.string(), 0, 0}, "is missing: the manifest tells of it", right);
  if (static_cast<std::int64_t>(bytes) != file.bytes)
    throw InputError({path.string(), 0, 0},
                     fmt::format("is damaged: it has {} bytes, and the manifest says {}", bytes, file.bytes), right);
  if (const std::string now = sha256_of_file(path); now != file.sha256)
    throw InputError({path.string(), 0, 0},
                     fmt::format("is damaged: its SHA-256 is {}, and the manifest says {}", now, file.sha256), right);
}

PackedReader::PackedReader(const std::filesystem::path& file)
    : path_(file), file_(gzopen(file.c_str(), "rb")), buffer_(4 * piece_size) {
  if (file_ == nullptr) throw InputError({file.string(), 0, 0}, "cannot be opened", "expected a readable file");
}

// Moves what is left to the front and reads behind it, in a larger buffer where one line fills it. False at the end.
bool PackedReader::fill() {
  std::memmove(buffer_.data(), buffer_.data() + first_, end_ - first_);
  end_ -= first_;
  first_ = 0;
  if (end_ == buffer_.size()) buffer_.resize(2 * buffer_.size());
  const int got = gzread(file_.get(), buffer_.data() + end_, static_cast<unsigned>(buffer_.size() - end_));
  int status = Z_OK;
  gzerror(file_.get(), &status);
  if (got < 0 || status != Z_OK)
    throw InputError({path_.string(), static_cast<int>(line_number_) + 1, 1}, "the gzip data are broken",
                     "expected a whole file");
  end_ += static_cast<std::size_t>(got);
  return got > 0;
}

bool PackedReader::next(std::string_view& line) {
  while (true) {
    const char* begin = buffer_.data() + first_;
    if (const void* found = first_ == end_ ? nullptr : std::memchr(begin, '\n', end_ - first_)) {
      const auto size = static_cast<std::size_t>(static_cast<const char*>(found) - begin);
      line = {begin, size};
      first_ += size + 1;
      ++line_number_;
      return true;
    }
    if (!fill()) {
      if (first_ == end_) return false;
      throw InputError({path_.string(), static_cast<int>(line_number_) + 1, 1}, "the last line has no end",
                       "expected a whole file");
    }
  }
}

}  // namespace echelon
