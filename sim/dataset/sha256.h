// SHA-256 (FIPS 180-4, by OpenSSL), for telling whether files are the ones that were written.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace echelon {

// add() any number of times, then hex() once.
class Sha256 {
 public:
  Sha256();

  void add(std::string_view bytes);
  // The digest as 64 hexadecimal digits.
  std::string hex();

 private:
  struct Release {
    void operator()(evp_md_ctx_st* context) const;
  };

  std::unique_ptr<evp_md_ctx_st, Release> context_;
};

std::string sha256_of(std::string_view bytes);
// Of a file's bytes, read in pieces. Throws InputError where it cannot be read.
std::string sha256_of_file(const std::filesystem::path& file);

}  // namespace echelon
