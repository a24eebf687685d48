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

// Skips what the journal has, goes on after benchmarks that fail, and stops when the budget is used up or the device is
// lost. Throws what the journal throws.
SweepResult sweep(DeviceLayer& device, const std::vector<Benchmark>& plan, const Effort& effort, Seconds budget,
                  SampleJournal& journal, const std::function<void(const SweepProgress&)>& progress = {});

}  // namespace echelon
