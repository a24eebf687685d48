#include "sim/config/data_dir.h"

#include <fmt/ranges.h>

#include <cstdlib>
#include <optional>
#include <set>
#include <system_error>

#include "sim/config/document.h"

namespace echelon {

namespace {

struct KindRow {
  std::string_view title;
  std::string_view folder;
  std::vector<std::string> extensions;
};

KindRow row_of(DataKind kind) {
  if (kind == DataKind::profile) return {"hardware profile", "hardware_profiles", {".yaml"}};
  return {"model", "scenarios/models", {".json", ".yaml"}};
}

bool is_plain_name(std::string_view name) {
  return !name.empty() && name.find_first_of("/\\") == std::string_view::npos && name[0] != '.';
}

std::optional<std::filesystem::path> find_file(const KindRow& row, std::string_view name) {
  std::error_code error;
  for (const auto& root : data_roots()) {
    for (const std::string& extension : row.extensions) {
      const auto file = root / row.folder / (std::string(name) + extension);
      if (std::filesystem::is_regular_file(file, error)) return file;
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<std::filesystem::path> data_roots() {
  std::vector<std::filesystem::path> candidates;
  if (const char* chosen = std::getenv("ECHELON_DATA")) candidates.emplace_back(chosen);
  candidates.emplace_back(ECHELON_SOURCE_DIR);
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) candidates.push_back(program.parent_path().parent_path() / "share" / "echelon");
  std::vector<std::filesystem::path> roots;
  for (const auto& candidate : candidates)
    if (std::filesystem::is_directory(candidate, error)) roots.push_back(candidate);
  return roots;
}

std::vector<std::string> data_names(DataKind kind) {
  const KindRow row = row_of(kind);
  std::set<std::string> names;
  std::error_code error;
  for (const auto& root : data_roots()) {
    for (const auto& entry : std::filesystem::directory_iterator(root / row.folder, error)) {
      for (const std::string& extension : row.extensions)
        if (entry.path().extension() == extension) names.insert(entry.path().stem().string());
    }
  }
  return {names.begin(), names.end()};
}

std::filesystem::path data_file(DataKind kind, std::string_view name, const SourceLocation& where) {
  const KindRow row = row_of(kind);
  std::error_code error;
  if (kind == DataKind::profile && name.ends_with(".yaml") && std::filesystem::is_regular_file(name, error))
    return name;
  if (is_plain_name(name))
    if (const auto file = find_file(row, name)) return *file;
  const std::vector<std::string> names = data_names(kind);
  const auto near = nearest(name, names);
  std::string right = near ? fmt::format("did you mean '{}'? ", *near) : "";
  if (names.empty())
    right += fmt::format("none are installed: set ECHELON_DATA to the folder that holds {}", row.folder);
  else
    right += fmt::format("there are: {}", fmt::join(names, ", "));
  throw InputError(where, fmt::format("there is no {} '{:.60}'", row.title, name), right);
}

}  // namespace echelon
