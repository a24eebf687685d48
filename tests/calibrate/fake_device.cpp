// A module in the place of CUDA's: a device of simple rates that stops answering at one benchmark and takes its process
// down at another, as a library on a machine nobody has tried may. The whole program runs on it (program_test.cmake).
#include <cstdlib>
#include <string>

#include "calibrate/gpu/device_layer.h"

namespace echelon {
namespace {

// An H100 by its datasheet, at two thirds of its rates and with 3 us a kernel.
double microseconds_of(const Benchmark& of) {
  const double operations = 2.0 * static_cast<double>(of.m) * static_cast<double>(of.n) * static_cast<double>(of.k) *
                            static_cast<double>(of.batch > 0 ? of.batch : 1) *
                            static_cast<double>(of.heads > 0 ? 2 * of.heads : 1);
  return 3 + operations / 660e6 + static_cast<double>(of.bytes) / 2.2e6;
}

class FakeDevice : public DeviceLayer {
 public:
  DeviceFacts facts() override {
    DeviceFacts facts;
    facts.gpu = "NVIDIA H100 80GB HBM3";
    facts.gpus = 1;
    facts.memory_bytes = std::int64_t{80} << 30;
    facts.multiprocessors = 132;
    facts.driver = "580.95.05";
    return facts;
  }

  Reading measure(const Benchmark& benchmark, const Effort& effort) override {
    Reading reading;
    if (benchmark.operation == "softmax" && benchmark.bytes == 4 << 18) {
      reading.outcome = Outcome::lost;
      reading.note = "illegal address";
      return reading;
    }
    if (benchmark.operation == "pool_malloc_and_free" && benchmark.bytes == 64 << 20) std::abort();
    if (benchmark.operation == "fused" && benchmark.m == 8192) {
      reading.outcome = Outcome::unsupported;
      reading.note = "no engine for this shape";
      return reading;
    }
    reading.microseconds.assign(static_cast<std::size_t>(effort.least_runs), microseconds_of(benchmark));
    return reading;
  }

  void join(const Rendezvous&) override {}
  void follow() override {}
};

}  // namespace
}  // namespace echelon

extern "C" __attribute__((visibility("default"))) echelon::DeviceLayer* echelon_open_cuda_device(std::string*) {
  return new echelon::FakeDevice;
}
