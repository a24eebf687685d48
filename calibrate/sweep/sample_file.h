// Raw samples as a CSV file, plain or gzip: comment lines "# name: value" that tell the machine, then a row a
// benchmark. While a sweep runs, rows are appended to a plain file beside it (NAME.part) and flushed one by one, so
// that a sweep killed at any time goes on where it was; finish() makes the file itself of them.
#pragma once

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "calibrate/sweep/sample.h"
#include "sim/base/error.h"

namespace echelon {

// The machine and when it was measured.
struct SweepOrigin {
  DeviceFacts facts;
  std::string host;
  std::string date;  // of the sweep's start, YYYY-MM-DD
};

struct SampleSet {
  SweepOrigin origin;
  std::vector<Sample> samples;  // one a benchmark
};

// Reads a finished file, or what there is of an unfinished one. Throws InputError "file:line:column" for a file that
// holds no such samples, and for broken gzip.
SampleSet read_samples(const std::filesystem::path& path);

// The row and the file's head as text.
std::string to_csv_row(const Sample& sample);
std::string csv_head(const SweepOrigin& origin);

class SampleJournal {
 public:
  // Goes on with what was measured before. Throws InputError where that was on another GPU or with other versions, and
  // where the file cannot be written.
  SampleJournal(std::filesystem::path path, SweepOrigin origin);

  const SweepOrigin& origin() const { return set_.origin; }  // of the first part, if this one goes on with it
  const std::vector<Sample>& samples() const { return set_.samples; }
  bool has(const Benchmark& benchmark) const { return keys_.count(benchmark.key()) > 0; }
  // On disk when it returns, as far as the process can tell. Throws InputError where the disk refuses.
  void append(const Sample& sample);
  // Whether the last thing that the process before this one measured was lost; not what it only took over as lost.
  bool ended_in_loss() const { return ended_in_loss_; }
  // Tells the next process which rows are of this one: those from here on. Throws like append.
  void mark_process();
  // Writes the file and removes the part. Throws InputError where the disk refuses; the part then stays.
  void finish();

 private:
  void write(const std::string& text);

  std::filesystem::path path_;
  std::filesystem::path part_;
  SampleSet set_;
  std::set<std::string> keys_;
  bool ended_in_loss_ = false;
  std::ofstream out_;
};

}  // namespace echelon
