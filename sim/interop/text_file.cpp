#include "sim/interop/text_file.h"

#include <fstream>

namespace echelon {

std::string read_text_file(const std::filesystem::path& path, const std::string& what) {
  const std::string name = path.string();
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) throw InputError({name, 0, 0}, "no such file", "an existing " + what);
  if (std::filesystem::is_directory(path, ignored))
    throw InputError({name, 0, 0}, "not a file but a directory", "a " + what);
  if (!std::filesystem::is_regular_file(path, ignored)) throw InputError({name, 0, 0}, "not a file", "a " + what);
  const auto size = std::filesystem::file_size(path, ignored);
  if (ignored) throw InputError({name, 0, 0}, "cannot be read", "a readable " + what);
  if (size > largest_text_file)
    throw InputError({name, 0, 0}, fmt::format("{} bytes is too large", size),
                     fmt::format("at most {}", largest_text_file));
  std::string text(static_cast<std::size_t>(size), '\0');
  std::ifstream input(path, std::ios::binary);
  if (!input.read(text.data(), static_cast<std::streamsize>(size)))
    throw InputError({name, 0, 0}, "cannot be read", "a readable " + what);
  return text;
}

}  // namespace echelon
