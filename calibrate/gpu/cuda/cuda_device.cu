// The device layer on CUDA: which function measures which family, and errors turned into outcomes.
#include <array>
#include <memory>
#include <new>
#include <string_view>

#include "calibrate/gpu/cuda/families.h"
#include "calibrate/gpu/cuda/gemm.h"
#include "calibrate/gpu/cuda/memory_kernels.h"

namespace echelon {
namespace {

struct Family {
  std::string_view name;
  Reading (*measure)(Context&, const Benchmark&, const Effort&);
};

constexpr std::array<Family, 11> families{{
    {"reference", measure_product},
    {"launch", measure_launch},
    {"memory", measure_memory},
    {"copy", measure_transfer},
    {"allocator", measure_allocation},
    {"overlap", measure_overlap},
    {"gemm", measure_product},
    {"grouped", measure_grouped},
    {"attention", measure_attention},
    {"sustained", measure_sustained},
    {"collective", measure_collective},
}};

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string cublas_version() {
  const std::size_t version = cublasLtGetVersion();  // 130002 is 13.0.2
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

class CudaDevice : public DeviceLayer {
 public:
  CudaDevice() = default;
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;
  ~CudaDevice() override {
    if (first_) try {
        leave_world(context_);
      } catch (const std::exception&) {  // the others are gone already
      }
  }

  void join(const Rendezvous& rendezvous) override {
    first_ = rendezvous.rank == 0;
    nodes_ = join_world(context_, rendezvous);
  }
  void follow() override { follow_world(context_); }

  DeviceFacts facts() override {
    const cudaDeviceProp& properties = context_.properties;
    DeviceFacts facts;
    facts.gpu = properties.name;
    int count = 0, runtime = 0;
    std::size_t free = 0, total = 0;
    check(cudaGetDeviceCount(&count), "cudaGetDeviceCount");
    check(cudaMemGetInfo(&free, &total), "cudaMemGetInfo");
    check(cudaRuntimeGetVersion(&runtime), "cudaRuntimeGetVersion");
    facts.gpus = count;
    facts.nodes = nodes_;
    facts.memory_bytes = static_cast<std::int64_t>(total);
    facts.multiprocessors = properties.multiProcessorCount;
    facts.l2_bytes = properties.l2CacheSize;
    facts.capability = 10 * properties.major + properties.minor;
    facts.driver = context_.nvml.driver_version();
    facts.cuda = version_text(runtime);
    facts.cublas = cublas_version();
    facts.nccl = nccl_version();
    facts.cudnn = cudnn_version();
    return facts;
  }

  Reading measure(const Benchmark& benchmark, const Effort& effort) override {
    try {
      return measure_with_room(benchmark, effort);
    } catch (const OutOfMemory& error) {
      return without_times(Outcome::out_of_memory, error.what());
    } catch (const std::bad_alloc&) {
      return without_times(Outcome::out_of_memory, "of the host");
    } catch (const Unsupported& error) {
      return without_times(Outcome::unsupported, error.what());
    } catch (const std::exception& error) {
      const bool others_wait = benchmark.ranks_per_node > 0;  // in the same collective, for ever
      return without_times(!others_wait && still_works() ? Outcome::failed : Outcome::lost, error.what());
    }
  }

 private:
  // A second try with all that earlier benchmarks left behind given back.
  Reading measure_with_room(const Benchmark& benchmark, const Effort& effort) {
    try {
      return measure_once(benchmark, effort);
    } catch (const OutOfMemory&) {
      context_.operands.release();
      context_.results.release();
      context_.communicators.reset();
      return measure_once(benchmark, effort);
    }
  }

  Reading measure_once(const Benchmark& benchmark, const Effort& effort) {
    for (const Family& family : families)
      if (family.name == benchmark.family) return family.measure(context_, benchmark, effort);
    throw Unsupported("family '" + benchmark.family + "'");
  }

  static Reading without_times(Outcome outcome, const std::string& note) {
    Reading reading;
    reading.outcome = outcome;
    reading.note = note;
    return reading;
  }

  // Errors such as an illegal address stay until the process ends.
  static bool still_works() {
    cudaGetLastError();
    return cudaDeviceSynchronize() == cudaSuccess;
  }

  Context context_{0};
  bool first_ = true;
  int nodes_ = 1;
};

}  // namespace
}  // namespace echelon

// What open_device.cpp calls: a new device, or nullptr and the reason.
extern "C" __attribute__((visibility("default"))) echelon::DeviceLayer* echelon_open_cuda_device(std::string* reason) {
  try {
    int count = 0;
    const cudaError_t status = cudaGetDeviceCount(&count);
    if (status == cudaSuccess && count > 0) return std::make_unique<echelon::CudaDevice>().release();
    *reason = status == cudaSuccess ? "none is visible" : cudaGetErrorString(status);
  } catch (const std::exception& error) {
    *reason = error.what();
  }
  return nullptr;
}
