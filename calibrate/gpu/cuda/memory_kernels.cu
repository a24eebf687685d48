#include "calibrate/gpu/cuda/memory_kernels.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "calibrate/gpu/cuda/elementwise.cuh"
#include "calibrate/gpu/cuda/rowwise.cuh"

namespace echelon {
namespace {

// The buffers of one execution and its size.
struct Work {
  char* in;   // bytes_in an element
  char* out;  // bytes_out an element
  long long rows;
  long long columns;
  cudaStream_t stream;

  long long elements() const { return rows * columns; }
  int width() const { return static_cast<int>(columns / vector_width); }
  // Tensor number `at` of those that lie one behind the other, `bytes` an element each.
  template <class T>
  T* input(int at, int bytes = 2) const {
    return reinterpret_cast<T*>(in + at * elements() * bytes);
  }
  template <class T>
  T* output(int at, int bytes = 2) const {
    return reinterpret_cast<T*>(out + at * elements() * bytes);
  }
};

template <class Operation>
void run_elementwise(const Work& work, Operation operation) {
  const long long vectors = work.elements() / vector_width;
  const auto blocks = static_cast<unsigned>((vectors + block_threads - 1) / block_threads);
  elementwise<<<blocks, block_threads, 0, work.stream>>>(operation, vectors);
}

unsigned row_blocks(const Work& work) {
  return static_cast<unsigned>(work.rows);
}

void run_adam(const Work& w) {
  auto* const master = reinterpret_cast<WideVector*>(w.out);
  const long long vectors = w.elements() / vector_width;
  run_elementwise(w, AdamStep{w.input<Vector>(0), reinterpret_cast<Vector*>(master + 3 * vectors), master,
                              master + vectors, master + 2 * vectors});
}

void run_reduction(const Work& w) {
  constexpr long long most = 1024;  // blocks, a few for each multiprocessor
  const long long vectors = w.elements() / vector_width;
  const auto blocks = static_cast<unsigned>(std::min(most, (vectors + block_threads - 1) / block_threads));
  reduce_all<<<blocks, block_threads, 0, w.stream>>>(w.input<Vector>(0), vectors, w.output<float>(0));
}

void run_top_k(const Work& w) {
  constexpr long long tokens_a_block = block_threads / 32;
  const auto blocks = static_cast<unsigned>((w.rows + tokens_a_block - 1) / tokens_a_block);
  top_k<<<blocks, block_threads, 0, w.stream>>>(w.input<float>(0), w.output<int>(0), w.rows,
                                                static_cast<int>(w.columns));
}

// How each of memory_operations is launched, and the bytes an element of its inputs and outputs.
struct Launcher {
  std::string_view name;
  int bytes_in;
  int bytes_out;
  void (*run)(const Work&);
};

const std::array<Launcher, 21> launchers{{
    {"device_copy", 2, 2,
     [](const Work& w) {
       run_elementwise(w, DeviceCopy{w.input<Vector>(0), w.output<Vector>(0)});
     }},
    {"residual_add", 4, 2,
     [](const Work& w) {
       run_elementwise(w, ResidualAdd{w.input<Vector>(0), w.input<Vector>(1), w.output<Vector>(0)});
     }},
    {"cast_to_fp32", 2, 4,
     [](const Work& w) {
       run_elementwise(w, Cast<bf16, float>{w.input<Vector>(0), w.output<WideVector>(0)});
     }},
    {"cast_to_bf16", 4, 2,
     [](const Work& w) {
       run_elementwise(w, Cast<float, bf16>{w.input<WideVector>(0), w.output<Vector>(0)});
     }},
    {"cast_to_fp8", 2, 1,
     [](const Work& w) {
       run_elementwise(w, Cast<bf16, __nv_fp8_e4m3>{w.input<Vector>(0), w.output<NarrowVector>(0)});
     }},
    {"gated_activation", 4, 2,
     [](const Work& w) {
       run_elementwise(w, GatedActivation{w.input<Vector>(0), w.input<Vector>(1), w.output<Vector>(0)});
     }},
    {"gated_activation_gradient", 6, 4,
     [](const Work& w) {
       run_elementwise(w, GatedActivationGradient{w.input<Vector>(0), w.input<Vector>(1), w.input<Vector>(2),
                                                  w.output<Vector>(0), w.output<Vector>(1)});
     }},
    {"adam_step", 2, 14, run_adam},
    {"rms_norm", 2, 2,
     [](const Work& w) {
       norm<false><<<row_blocks(w), block_threads, 0, w.stream>>>(w.input<Vector>(0), w.output<Vector>(0), w.width());
     }},
    {"rms_norm_gradient", 4, 2,
     [](const Work& w) {
       norm_gradient<false><<<row_blocks(w), block_threads, 0, w.stream>>>(w.input<Vector>(0), w.input<Vector>(1),
                                                                           w.output<Vector>(0), w.width());
     }},
    {"layer_norm", 2, 2,
     [](const Work& w) {
       norm<true><<<row_blocks(w), block_threads, 0, w.stream>>>(w.input<Vector>(0), w.output<Vector>(0), w.width());
     }},
    {"layer_norm_gradient", 4, 2,
     [](const Work& w) {
       norm_gradient<true><<<row_blocks(w), block_threads, 0, w.stream>>>(w.input<Vector>(0), w.input<Vector>(1),
                                                                          w.output<Vector>(0), w.width());
     }},
    {"softmax", 2, 2, [](const Work& w) { launch_softmax(w.in, w.out, w.rows, w.columns, w.stream); }},
    {"softmax_gradient", 4, 2,
     [](const Work& w) { launch_softmax_gradient(w.in, w.input<Vector>(1), w.out, w.rows, w.columns, w.stream); }},
    {"cross_entropy", 2, 2,
     [](const Work& w) {
       softmax<<<row_blocks(w), block_threads, 0, w.stream>>>(w.input<Vector>(0), w.output<Vector>(0), w.width(), 7919);
     }},
    {"embedding", 2, 2,
     [](const Work& w) {
       gather_rows<<<row_blocks(w), block_threads, 0, w.stream>>>(w.input<Vector>(0), w.output<Vector>(0), w.rows,
                                                                  w.width());
     }},
    {"embedding_gradient", 2, 4,
     [](const Work& w) {
       add_to_rows<<<row_blocks(w), block_threads, 0, w.stream>>>(w.input<Vector>(0), w.output<WideVector>(0), w.rows,
                                                                  w.width());
     }},
    {"permute_rows", 2, 2,
     [](const Work& w) {
       gather_rows<<<row_blocks(w), block_threads, 0, w.stream>>>(w.input<Vector>(0), w.output<Vector>(0), w.rows,
                                                                  w.width());
     }},
    {"unpermute_rows", 2, 2,
     [](const Work& w) {
       scatter_rows<<<row_blocks(w), block_threads, 0, w.stream>>>(w.input<Vector>(0), w.output<Vector>(0), w.rows,
                                                                   w.width());
     }},
    {"top_k_routing", 4, 1, run_top_k},
    {"reduction", 2, 2, run_reduction},
}};

const Launcher& launcher_of(const std::string& name) {
  for (const Launcher& launcher : launchers)
    if (launcher.name == name) return launcher;
  throw Unsupported("memory-bound kernel '" + name + "'");
}

}  // namespace

void launch_softmax(const void* scores, void* weights, std::int64_t rows, std::int64_t columns, cudaStream_t stream) {
  softmax<<<static_cast<unsigned>(rows), block_threads, 0, stream>>>(
      static_cast<const Vector*>(scores), static_cast<Vector*>(weights), static_cast<int>(columns / vector_width), 0);
}

void launch_softmax_gradient(const void* weights, const void* gradient, void* out, std::int64_t rows,
                             std::int64_t columns, cudaStream_t stream) {
  softmax_gradient<<<static_cast<unsigned>(rows), block_threads, 0, stream>>>(
      static_cast<const Vector*>(weights), static_cast<const Vector*>(gradient), static_cast<Vector*>(out),
      static_cast<int>(columns / vector_width));
}

Reading measure_memory(Context& context, const Benchmark& benchmark, const Effort& effort) {
  const Launcher& launcher = launcher_of(benchmark.operation);
  const auto elements = static_cast<std::size_t>(benchmark.m * benchmark.n);
  const std::size_t in_bytes = aligned(elements * static_cast<std::size_t>(launcher.bytes_in));
  const std::size_t out_bytes = aligned(elements * static_cast<std::size_t>(launcher.bytes_out));
  const int copies = context.copies_for(in_bytes + out_bytes);
  char* const in = context.operands.get(in_bytes * static_cast<std::size_t>(copies), "bf16");
  char* const out = context.results.get(out_bytes * static_cast<std::size_t>(copies), "bf16");
  const auto launch = [&](int copy, cudaStream_t stream) {
    const auto at = static_cast<std::size_t>(copy % copies);
    launcher.run({in + at * in_bytes, out + at * out_bytes, benchmark.m, benchmark.n, stream});
    check(cudaGetLastError(), "kernel launch");
  };
  return time_captured(context, launch, copies, effort);
}

}  // namespace echelon
