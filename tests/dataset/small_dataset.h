// A data set of a small space in a folder of its own, gone with the object.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <string>

#include "sim/dataset/build.h"
#include "tests/error_of.h"
#include "tests/sweep/small_space.h"

namespace echelon::test {

class DatasetFolder {
 public:
  explicit DatasetFolder(const std::string& name)
      : path_(std::filesystem::temp_directory_path() / fmt::format("echelon-dataset-test-{}-{}", name, getpid())) {
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~DatasetFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  DatasetFolder(const DatasetFolder&) = delete;
  DatasetFolder& operator=(const DatasetFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline Manifest build_into(const DatasetFolder& folder, const SpaceDocument& document) {
  const PointEvaluator reader(document);
  const auto sink = file_sink(unpacked_points(folder.path()), reader.space(), sweep_identity(document));
  return build_dataset(document, reader.space(), folder.path(), *sink, {"small", "CC0-1.0", {2, nullptr}});
}

}  // namespace echelon::test
