#include "calibrate/gpu/cuda/families.h"
#include "calibrate/gpu/cuda/gemm.h"

namespace echelon {
namespace {

constexpr std::size_t load_bytes = std::size_t{256} << 20;

// Copies from the host, or within the device.
LoadBeside copies_beside(cudaMemcpyKind kind) {
  const auto stream = std::make_shared<Stream>();
  const auto to = std::make_shared<DeviceBuffer>(load_bytes);
  const auto wait = [stream] { check(cudaStreamSynchronize(*stream), "copies beside a product"); };
  const auto copies = [stream, to, kind](const void* from) {
    check(cudaMemcpyAsync(to->data(), from, load_bytes, kind, *stream), "cudaMemcpyAsync");
  };
  if (kind == cudaMemcpyHostToDevice) {
    const auto host = std::make_shared<PinnedBuffer>(load_bytes);
    return {[copies, host] { copies(host->data()); }, wait};
  }
  const auto from = std::make_shared<DeviceBuffer>(load_bytes);
  return {[copies, from] { copies(from->data()); }, wait};
}

struct Companion {
  LoadBeside load;
  int times = 1;  // enqueued for each product, to outlast one of a few milliseconds
};

Companion companion_of(Context& context, const std::string& operation) {
  if (operation == "product_beside_host_copy") return {copies_beside(cudaMemcpyHostToDevice), 4};
  if (operation == "product_beside_device_copy") return {copies_beside(cudaMemcpyDeviceToDevice), 40};
  if (operation == "product_beside_all_reduce") return {collectives_beside(context, load_bytes), 8};
  throw Unsupported("overlap '" + operation + "'");
}

}  // namespace

Reading measure_overlap(Context& context, const Benchmark& benchmark, const Effort& effort) {
  const ProductType& type = product_type(benchmark.type, 10 * context.properties.major + context.properties.minor);
  const Product product(context, type, {benchmark.m, benchmark.n, benchmark.k, 1, "forward"});
  char* const in = context.operands.get(product.a_bytes() + product.b_bytes(), benchmark.type);
  char* const out = context.results.get(product.c_bytes(), "bf16");
  const auto run = [&](int, cudaStream_t stream) { product.run(in, in + product.a_bytes(), out, stream); };
  if (benchmark.operation == "product_alone") return time_streamed(context, run, 1, effort);
  const Companion beside = companion_of(context, benchmark.operation);
  const auto load = [&] {
    for (int i = 0; i < beside.times; ++i) beside.load.enqueue();
  };
  Reading reading = time_beside(context, run, load, effort);
  beside.load.wait();
  return reading;
}

}  // namespace echelon
