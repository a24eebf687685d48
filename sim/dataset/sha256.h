// SHA-256 (FIPS 180-4), for telling whether files are the ones that were written.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace echelon {

// add() any number of times, then hex() once.
class Sha256 {
 public:
  void add(std::string_view bytes);
  // The digest as 64 hexadecimal digits.
  std::string hex();

 private:
  static constexpr std::size_t block_size = 64;

  void compress(const unsigned char* block);
  void pad();

  std::array<std::uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, block_size> block_{};
  std::size_t filled_ = 0;    // bytes of block_
  std::uint64_t length_ = 0;  // bytes in all
};

std::string sha256_of(std::string_view bytes);
// Of a file's bytes, read in pieces. Throws InputError where it cannot be read.
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace echelon
