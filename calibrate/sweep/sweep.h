// Measures a plan, row by row, into a journal.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "calibrate/gpu/device_layer.h"
#include "calibrate/sweep/sample_file.h"

namespace echelon {

struct SweepProgress {
  std::size_t done = 0;  // those that the journal had before included
  std::size_t total = 0;
  Seconds elapsed;
  Seconds remaining;  // at the pace so far, at most what is left of the budget
  const Sample* last = nullptr;
};

struct SweepResult {
  std::size_t measured = 0;  // now
  std::size_t had = 0;       // in the journal before
  std::size_t left = 0;      // not reached within the budget, or because the device was lost
  bool device_lost = false;
};

// The benchmark that comes next; none where the journal has all.
const Benchmark* next_of(const std::vector<Benchmark>& plan, const SampleJournal& journal);

// How the process that measured before this one ended; nothing for the first.
struct Death {
  std::string of;              // "the process died of signal 6"; empty too where it told the loss in the journal itself
  bool on_other_node = false;  // a process there failed, and all were started anew
};

// The first that a process does with the journal: it writes down as lost what the one before died of, the benchmark
// that comes next, so that it is not tried again. Not where that one's last word was of a loss, since an error on two
// nodes at once is told there and ends it as well; nor a benchmark of this node alone where another node failed.
void take_over(const std::vector<Benchmark>& plan, SampleJournal& journal, const Death& death);

// Skips what the journal has, goes on after benchmarks that fail, and stops when the budget is used up or the device is
// lost. Throws what the journal throws.
SweepResult sweep(DeviceLayer& device, const std::vector<Benchmark>& plan, const Effort& effort, Seconds budget,
                  SampleJournal& journal, const std::function<void(const SweepProgress&)>& progress = {});

}  // namespace echelon
