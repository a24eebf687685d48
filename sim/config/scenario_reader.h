// Reads many scenarios that differ from one document in a few keys: what does not change is read once.
//
// Not for several threads at once, and the values must come from documents that no other thread reads: a document notes
// which of its keys were asked for.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sim/config/document.h"
#include "sim/config/scenario.h"
#include "sim/config/scenario_keys.h"

namespace echelon {

class ScenarioReader {
 public:
  // `document` is a scenario; relative paths in it are relative to the folder of `file`. Throws InputError for what is
  // wrong outside its sections (model, cluster, strategy, workload).
  ScenarioReader(const Value& document, const std::filesystem::path& file, HfReader hf_reader);
  ScenarioReader(const ScenarioReader&) = delete;
  ScenarioReader& operator=(const ScenarioReader&) = delete;

  // The scenario with these keys set, valid until the next call. Every path begins with a section's name. Throws
  // InputError, after which other scenarios can still be read.
  const Scenario& read(const std::vector<Assignment>& changes);

  // Throws the InputError of a key or a value that no scenario could have, whatever the other keys: not that degrees
  // and GPUs do not match.
  void check(const std::vector<Assignment>& changes);

 private:
  struct Section {
    std::string name;
    Value base;     // as the document has it
    Value current;  // with the changes
    std::vector<Assignment> changes;
    bool valid = false;  // `current` has been read without an error
  };

  Section section(const Value& document, const std::string& name) const;
  // Whether the section must be read again.
  static bool update(Section& section, const std::vector<Assignment>& changes);
  template <class Read>
  static void read_section(Section& section, Read read);
  void read_cluster_section();

  ScenarioReading reading_;
  HfReader hf_reader_;
  std::map<std::string, Profile> profiles_;
  Section model_;
  Section cluster_;
  Section strategy_;
  Section workload_;
  std::vector<std::pair<std::string, Value>> on_cluster_;  // what can be read only once the cluster is known
  Strategy unresolved_;                                    // before data_parallel is known
};

}  // namespace echelon
