// What cuDNN says of the graphs of attention, with no GPU: a device that a text describes stands for one (cuDNN 9.8).
// Its engines ask whether the driver's library is there, before they say whether they take a graph; the toolkit's stub
// of it is enough. Nothing is compiled or run.
#include <dlfcn.h>

#include <array>
#include <string>

#include "calibrate/gpu/cuda/attention_graph.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

// Chips from Ampere on: compute capability, multiprocessors, most shared memory of a block and most threads of a
// multiprocessor (NVIDIA, "CUDA C++ Programming Guide", technical specifications by compute capability, and
// datasheets).
struct Chip {
  const char* name;
  int capability;
  int multiprocessors;
  int shared_bytes;
  int threads;
};
constexpr Chip h200{"NVIDIA H200", 900, 132, 232448, 2048};
constexpr std::array<Chip, 5> others{{{"NVIDIA A100-SXM4-80GB", 800, 108, 166912, 2048},
                                      {"NVIDIA L40S", 890, 142, 101376, 1536},
                                      {"NVIDIA B200", 1000, 148, 232448, 2048},
                                      {"NVIDIA B300", 1030, 148, 232448, 2048},
                                      {"NVIDIA RTX PRO 6000", 1200, 188, 101376, 1536}}};

// In the fields that cuDNN itself writes of a device. Memory, clocks and cache are an H200's for all.
CudnnDescriptor device_of(const Chip& chip) {
  return described_device(
      R"({"deviceVer":)" + std::to_string(chip.capability) +
      R"(,"driverVer":13000,"cudaDeviceId":0,"totalGlobalMem":150754820096,
        "maxGridSize":[2147483647,65535,65535],"maxBlockSize":[1024,1024,64],"regsPerBlock":65536,
        "warpSize":32,"maxSharedMemoryPerBlock":49152,"reservedSharedMemoryPerBlock":1024,"maxRegistersPerSM":65536,
        "maxCtasPerSM":)" +
      std::to_string(chip.threads / 64) +
      R"(,"maxThreadsPerBlock":1024,"pciDeviceId":0,"isTccDriver":0,"supportCoopLaunch":1,"smClockRateKHz":1980000,
        "memClockRateKHz":3201000,"l2CacheSize":62914560,"multiProcessorCount":)" +
      std::to_string(chip.multiprocessors) + R"(,"maxSharedMemoryPerBlockOptin":)" + std::to_string(chip.shared_bytes) +
      R"(,"maxThreadsPerSM":)" + std::to_string(chip.threads) + R"(,"deviceName":")" + chip.name + R"("})");
}

// cuDNN 9.8 or later, and a driver's library or the stub of one; else there is nobody to ask.
bool can_ask() {
  try {
    return cudnn().get_version() >= 90800 && dlopen("libcuda.so.1", RTLD_NOW) != nullptr;
  } catch (const Unsupported&) {
    return false;
  }
}

// Why cuDNN does not take a graph; empty if it does.
std::string refusal(const AttentionGraph& made, const CudnnDescriptor& device) {
  try {
    return count_engines(made.graph, {nullptr, &device}) > 0 ? "" : "no engine";
  } catch (const std::runtime_error& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("cuDNN has an engine for every attention that the sweep plans") {
  if (!can_ask()) return;
  const CudnnDescriptor device = device_of(h200);
  for (const cudnnDataType_t type : {CUDNN_DATA_BFLOAT16, CUDNN_DATA_HALF})
    for (const std::int64_t positions : {512, 4096, 16384})
      for (const std::int64_t head_size : {64, 128})
        for (const std::int64_t kv_heads : {32, 8})
          for (const bool causal : {false, true}) {
            CAPTURE(type, positions, head_size, kv_heads, causal);
            const AttentionShape shape{16384 / positions, 32, kv_heads, positions, head_size, causal, type};
            CHECK(refusal(attention_forward(shape), device).empty());
            CHECK(refusal(attention_backward(shape), device).empty());
          }
}

TEST_CASE("cuDNN has engines for them on every chip from Ampere on") {
  if (!can_ask()) return;
  for (const Chip& chip : others) {
    const CudnnDescriptor device = device_of(chip);
    for (const std::int64_t head_size : {64, 128})
      for (const std::int64_t kv_heads : {32, 8})
        for (const bool causal : {false, true}) {
          CAPTURE(chip.name, head_size, kv_heads, causal);
          const AttentionShape shape{4, 32, kv_heads, 4096, head_size, causal, CUDNN_DATA_BFLOAT16};
          CHECK(refusal(attention_forward(shape), device).empty());
          CHECK(refusal(attention_backward(shape), device).empty());
        }
  }
}

TEST_CASE("What cuDNN refuses is told with its own words, and as unsupported") {
  if (!can_ask()) return;
  const CudnnDescriptor device = device_of(h200);
  // Rows of 77 features of 2 bytes are no whole number of 16-byte loads.
  AttentionShape shape{1, 4, 4, 512, 77, true, CUDNN_DATA_BFLOAT16};
  CHECK_THROWS_AS(count_engines(attention_backward(shape).graph, {nullptr, &device}), Unsupported);
  shape.head_size = -1;
  CHECK_THROWS_AS(attention_forward(shape), DeviceError);
}

TEST_CASE("The tensors in memory are those of attention, with their sizes") {
  if (!can_ask()) return;
  const AttentionShape shape{2, 32, 8, 1024, 128, true, CUDNN_DATA_BFLOAT16};
  const auto bytes_of = [](const AttentionGraph& made, AttentionPart part) {
    std::int64_t bytes = -1;
    for (const AttentionTensor& tensor : made.tensors)
      if (tensor.part == part) bytes = tensor.bytes;
    return bytes;
  };
  const AttentionGraph backward = attention_backward(shape);
  // Of a head 2 sequences x 1024 positions x 128 features of 2 bytes, and 4 bytes a row.
  constexpr std::int64_t of_head = 524288, rows_of_head = 8192;
  CHECK(bytes_of(backward, AttentionPart::queries) == 32 * of_head);
  CHECK(bytes_of(backward, AttentionPart::key_gradient) == 8 * of_head);
  CHECK(bytes_of(backward, AttentionPart::statistics) == 32 * rows_of_head);
  CHECK(bytes_of(backward, AttentionPart::query_sums) == 64 * of_head);
  CHECK(bytes_of(attention_forward(shape), AttentionPart::out_gradient) == -1);
}
