// What may be asked of a GPU, as plain values: a Benchmark goes in, times come out. CUDA implements it (cuda/), a
// recorded trace replaces it in tests. C++17 and the standard library alone, because the CUDA side includes it too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "calibrate/gpu/rendezvous.h"

namespace echelon {

// One thing to measure. Fields that an operation does not know stay 0 or empty; plan.cpp in calibrate/sweep says which
// operations there are.
struct Benchmark {
  std::string family;      // "gemm": what --only names
  std::string operation;   // "product", "rms_norm", "all_reduce"
  std::string type;        // number format: "bf16"
  std::string variant;     // "weight_gradient", "pinned"
  std::int64_t m = 0;      // rows; queries of attention
  std::int64_t n = 0;      // columns; keys of attention
  std::int64_t k = 0;      // depth of a product; size of an attention head
  std::int64_t batch = 0;  // products of a batch; experts of a grouped product; sequences of attention
  std::int64_t ranks = 0;  // GPUs that take part in a collective
  std::int64_t bytes = 0;  // moved by a memory-bound kernel; of a copy, an allocation or a collective's full vector
  std::int64_t heads = 0;  // of attention's queries
  std::int64_t kv_heads = 0;
  std::int64_t ranks_per_node = 0;  // of a collective between nodes; 0 = all in one

  // What tells it from all others: the fields joined by '/'.
  std::string key() const;
};

enum class Outcome {
  measured,
  out_of_memory,  // of the device or the host; the next size may fit
  unsupported,    // the device, its libraries or this build cannot do it
  failed,         // an error that leaves the device usable
  lost            // an error after which the device answers no more in this process
};

// The GPU while it worked; 0 = not known.
struct Conditions {
  double sm_mhz = 0;
  double memory_mhz = 0;
  double watts = 0;
  double celsius = 0;
};

struct Reading {
  Outcome outcome = Outcome::measured;
  std::vector<double> microseconds;  // of one execution, one entry a timed run; empty unless measured
  Conditions conditions;
  std::string note;  // what went wrong, and with what
};

// How long one benchmark may take.
struct Effort {
  double seconds = 0.05;  // of timed runs
  int least_runs = 5;     // even where they take longer
  int most_runs = 50;
};

// The machine. Texts are empty where not known.
struct DeviceFacts {
  std::string gpu;  // "NVIDIA H200"
  std::int64_t gpus = 0;
  std::int64_t memory_bytes = 0;  // that a process can allocate, nearly
  std::int64_t multiprocessors = 0;
  std::int64_t l2_bytes = 0;
  int capability = 0;  // compute capability, 90 for 9.0
  std::string driver, cuda, cublas, nccl, cudnn;
  std::int64_t nodes = 1;  // that take part: processes that met, with as many GPUs each
};

class DeviceLayer {
 public:
  virtual ~DeviceLayer() = default;
  virtual DeviceFacts facts() = 0;
  // Warms up, then times. Never throws for what goes wrong on the device: the outcome and the note tell.
  virtual Reading measure(const Benchmark& benchmark, const Effort& effort) = 0;
  // Joins processes on other nodes: facts() then counts them, and collectives may span them. Process 0 goes on to
  // measure; every other one stays in follow() until the device of process 0 is destroyed. Both throw
  // std::runtime_error: who did not come, or what NCCL says.
  virtual void join(const Rendezvous& rendezvous) = 0;
  virtual void follow() = 0;
};

}  // namespace echelon
