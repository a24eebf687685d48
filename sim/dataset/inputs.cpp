#include "sim/dataset/inputs.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>

#include "sim/config/data_dir.h"
#include "sim/config/profile_config.h"
#include "sim/dataset/sha256.h"

namespace echelon {

namespace {

// Keys of a scenario whose value is a file, or the name of one.
struct InputKey {
  std::string_view section;
  std::string_view key;
  std::string_view kind;
};
constexpr auto input_keys = std::to_array<InputKey>({
    {"cluster", "profile", "hardware profile"},
    {"model", "name", "model"},
    {"model", "huggingface", "model"},
    {"strategy", "schedule_file", "schedule"},
});

using Files = std::set<std::pair<std::string_view, std::filesystem::path>>;  // kind, path

// As sim/config tells paths from names.
bool is_path(const InputKey& key, const std::string& text) {
  if (key.key == "huggingface" || key.key == "schedule_file") return true;
  const std::string extension = std::filesystem::path(text).extension().string();
  return text.find('/') != std::string::npos || extension == ".yaml" || extension == ".yml" || extension == ".json";
}

std::filesystem::path file_of(const InputKey& key, const Value& value, const std::filesystem::path& folder) {
  const std::string name = value.text();
  if (!is_path(key, name))
    return data_file(key.kind == "model" ? DataKind::model : DataKind::profile, name, value.where());
  std::error_code error;
  const auto file = folder / name;
  return std::filesystem::is_directory(file, error) ? file / "config.json" : file;
}

// A profile and all that it is based on.
void add_with_bases(std::string_view kind, std::filesystem::path file, Files& files) {
  while (files.emplace(kind, file).second) {
    if (file.extension() != ".yaml") return;
    const auto base = parse_file(file).find("based_on");
    if (!base) return;
    file = base_file(file, *base);
  }
}

void add(const InputKey& key, const Value& section, const std::filesystem::path& folder, Files& files) {
  if (!section.is_mapping()) return;
  if (key.key == "name" && section.keys().size() > 1) return;  // the title of a shape in place
  if (const auto value = section.find(key.key)) add_with_bases(key.kind, file_of(key, *value, folder), files);
}

}  // namespace

std::vector<DatasetInput> inputs_of(const SpaceDocument& document, const Space& space) {
  const std::filesystem::path folder = document.file.parent_path();
  const Value root = with_overrides(parse_text(document.text, document.file.string()), document.overrides);
  Files files;
  for (const InputKey& key : input_keys) {
    if (const auto section = root.find(key.section)) add(key, *section, folder, files);
    for (const SpaceAxis& axis : space.axes())
      for (const AxisValue& value : axis.values)
        for (const Assignment& set : value.assignments) {
          if (set.path == key.section) add(key, set.value, folder, files);
          if (set.path == fmt::format("{}.{}", key.section, key.key))
            add_with_bases(key.kind, file_of(key, set.value, folder), files);
        }
  }
  std::vector<DatasetInput> inputs;
  for (const auto& [kind, file] : files)
    inputs.push_back({std::string(kind), file.filename().string(), sha256_of_file(file)});
  return inputs;
}

}  // namespace echelon
