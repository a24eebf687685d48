// The device layer replaced by a recorded trace: what a real sweep measured is measured again, from its samples.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "calibrate/gpu/device_layer.h"
#include "calibrate/sweep/sample_file.h"

namespace echelon {

class RecordedDevice : public DeviceLayer {
 public:
  explicit RecordedDevice(SampleSet trace) : trace_(std::move(trace)) {
    for (const Sample& sample : trace_.samples) by_key_[sample.benchmark.key()] = &sample;
  }
  RecordedDevice(const RecordedDevice&) = delete;
  RecordedDevice& operator=(const RecordedDevice&) = delete;

  DeviceFacts facts() override { return trace_.origin.facts; }

  // Runs of the recorded median; what was not recorded is unsupported.
  Reading measure(const Benchmark& benchmark, const Effort& effort) override {
    ++calls;
    const auto found = by_key_.find(benchmark.key());
    Reading reading;
    reading.outcome = found == by_key_.end() ? Outcome::unsupported : found->second->outcome;
    if (reading.outcome != Outcome::measured) {
      reading.note = found == by_key_.end() ? "not recorded" : found->second->note;
      return reading;
    }
    reading.conditions = found->second->conditions;
    reading.microseconds.assign(static_cast<std::size_t>(effort.least_runs), 1e6 * found->second->time.value());
    return reading;
  }

  void join(const Rendezvous&) override {}
  void follow() override {}

  int calls = 0;

 private:
  SampleSet trace_;
  std::map<std::string, const Sample*> by_key_;
};

}  // namespace echelon
