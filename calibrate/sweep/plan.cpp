#include "calibrate/sweep/plan.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>

#include "calibrate/gpu/memory_operations.h"

namespace echelon {
namespace {

using Sizes = std::vector<std::int64_t>;
using Plan = std::vector<Benchmark>;

// Powers of two from 2^first to 2^last, every `step`-th.
Sizes powers(int first, int last, int step) {
  Sizes sizes;
  for (int exponent = first; exponent <= last; exponent += step) sizes.push_back(std::int64_t{1} << exponent);
  return sizes;
}

int step_of(Scope scope) {
  return scope == Scope::quick ? 4 : scope == Scope::standard ? 2 : 1;
}

Benchmark named(const char* family, std::string operation) {
  Benchmark benchmark;
  benchmark.family = family;
  benchmark.operation = std::move(operation);
  return benchmark;
}

void add_launch(Scope, const DeviceFacts&, Plan& plan) {
  for (const char* operation : {"stream", "graph", "host"}) plan.push_back(named("launch", operation));
}

// Widths of rows: hidden sizes, keys, words of a vocabulary, experts.
Sizes widths_of(std::string_view operation, Scope scope) {
  if (operation == "cross_entropy") return scope == Scope::quick ? Sizes{32768} : Sizes{32768, 128256};
  if (operation == "top_k_routing") return scope == Scope::quick ? Sizes{256} : Sizes{64, 256};
  return scope == Scope::quick ? Sizes{4096} : Sizes{1024, 2048, 4096, 8192, 16384};
}

void add_memory(Scope scope, const DeviceFacts&, Plan& plan) {
  for (const MemoryOperation& operation : memory_operations)
    for (const std::int64_t width : operation.by_row ? widths_of(operation.name, scope) : Sizes{4096})
      for (const std::int64_t elements : powers(14, 28, step_of(scope))) {
        if (elements < width) continue;
        Benchmark benchmark = named("memory", std::string(operation.name));
        benchmark.type = "bf16";
        benchmark.m = elements / width;
        benchmark.n = width;
        benchmark.bytes =
            static_cast<std::int64_t>(static_cast<double>(benchmark.m * width) * operation.bytes_per_element);
        plan.push_back(std::move(benchmark));
      }
}

void add_copy(Scope scope, const DeviceFacts& facts, Plan& plan) {
  const auto add = [&](const char* operation, const char* variant) {
    for (const std::int64_t bytes : powers(12, scope == Scope::quick ? 28 : 30, step_of(scope))) {
      Benchmark benchmark = named("copy", operation);
      benchmark.variant = variant;
      benchmark.bytes = bytes;
      plan.push_back(std::move(benchmark));
    }
  };
  for (const char* variant : {"pinned", "pageable"})
    for (const char* operation : {"host_to_device", "device_to_host"}) add(operation, variant);
  add("both_ways", "pinned");
  if (facts.gpus > 1) add("to_peer", "");
}

void add_allocator(Scope, const DeviceFacts&, Plan& plan) {
  for (const char* operation : {"malloc_and_free", "pinned_malloc_and_free", "pool_malloc_and_free"})
    for (const std::int64_t bytes : {std::int64_t{2} << 20, std::int64_t{64} << 20, std::int64_t{1} << 30}) {
      Benchmark benchmark = named("allocator", operation);
      benchmark.bytes = bytes;
      plan.push_back(std::move(benchmark));
    }
}

Benchmark product(const char* family, const char* type, const char* layout, std::int64_t m, std::int64_t n,
                  std::int64_t k, std::int64_t batch = 1) {
  Benchmark benchmark = named(family, "product");
  benchmark.type = type;
  benchmark.variant = layout;
  benchmark.m = m;
  benchmark.n = n;
  benchmark.k = k;
  benchmark.batch = batch;
  return benchmark;
}

void add_overlap(Scope, const DeviceFacts&, Plan& plan) {
  for (const char* operation : {"product_alone", "product_beside_device_copy", "product_beside_host_copy"})
    for (const std::int64_t size : {4096, 8192}) {
      Benchmark benchmark = product("overlap", "bf16", "", size, size, size);
      benchmark.operation = operation;
      plan.push_back(std::move(benchmark));
    }
}

// Products longer than about ten milliseconds tell nothing that shorter ones do not.
bool is_short(const char* type, double m, double n, double k) {
  return 2 * m * n * k <= (std::string_view(type) == "fp32" ? 1e12 : 9e12);
}

void add_product(Plan& plan, const char* type, const char* layout, std::int64_t m, std::int64_t n, std::int64_t k) {
  if (is_short(type, static_cast<double>(m), static_cast<double>(n), static_cast<double>(k)))
    plan.push_back(product("gemm", type, layout, m, n, k));
}

// Log-spaced sizes, the finest for bf16, which training uses most.
void add_grid(Scope scope, const char* type, Plan& plan) {
  const bool most_used = std::string_view(type) == "bf16";
  Sizes rows = {512, 2048, 8192}, sides = {1024, 4096, 16384};
  if (scope == Scope::quick && most_used) {
    rows = {512, 1024, 2048, 4096, 8192, 16384};
    sides = {1024, 2048, 4096, 8192, 16384};
  }
  if (scope == Scope::standard) {
    rows = most_used ? Sizes{128, 256, 512, 1024, 2048, 4096, 8192, 16384} : Sizes{512, 1024, 4096, 16384};
    sides = most_used ? Sizes{128, 256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384}
                      : Sizes{256, 512, 1024, 2048, 4096, 8192, 16384};
  }
  if (scope == Scope::thorough) {
    rows = {128, 256, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 32768};
    sides = {128, 256, 512, 768, 1024, 1536, 2048, 3072, 4096, 5120, 6144, 8192, 10240, 12288, 16384, 20480, 32768};
  }
  for (const std::int64_t m : rows)
    for (const std::int64_t n : sides)
      for (const std::int64_t k : sides) add_product(plan, type, "forward", m, n, k);
}

// The linear layers of a transformer: out and in features over its hidden size h, gated or not, with and without
// grouped queries (Vaswani et al., arXiv:1706.03762; Touvron et al., arXiv:2302.13971).
constexpr std::array<std::array<double, 2>, 6> linear_layers{{{3, 1}, {1.5, 1}, {1, 1}, {4, 1}, {7, 1}, {1, 3.5}}};

// Each layer's three products: tokens x in -> out, the gradient of its input, and of its weight.
void add_layers(Scope scope, const char* type, bool gradients, Plan& plan) {
  const bool coarse = scope == Scope::quick;
  for (const std::int64_t hidden : coarse ? Sizes{2048, 4096} : Sizes{768, 1024, 2048, 2560, 4096, 5120, 6144, 8192})
    for (const std::int64_t tokens : coarse ? Sizes{2048, 8192} : Sizes{1024, 2048, 4096, 8192, 16384, 32768})
      for (const auto& layer : linear_layers) {
        const auto out = static_cast<std::int64_t>(layer[0] * static_cast<double>(hidden));
        const auto in = static_cast<std::int64_t>(layer[1] * static_cast<double>(hidden));
        add_product(plan, type, "forward", tokens, out, in);
        if (!gradients) continue;
        add_product(plan, type, "input_gradient", tokens, in, out);
        add_product(plan, type, "weight_gradient", out, in, tokens);
      }
}

void add_gemm(Scope scope, const DeviceFacts&, Plan& plan) {
  for (const char* type : {"bf16", "fp16", "fp8", "tf32", "fp32", "int8"}) {
    const bool most_used = std::string_view(type) == "bf16";
    if (scope == Scope::quick && std::string_view(type) == "int8") continue;
    add_grid(scope, type, plan);
    add_layers(scope, type, most_used || (scope == Scope::thorough && std::string_view(type) == "fp16"), plan);
  }
  // Scores and mixtures of unfused attention.
  for (const std::int64_t size : scope == Scope::quick ? Sizes{1024, 4096} : Sizes{512, 1024, 2048, 4096, 8192})
    for (const std::int64_t head : {64, 128}) {
      plan.push_back(product("gemm", "bf16", "forward", size, size, head, 32));
      plan.push_back(product("gemm", "bf16", "input_gradient", size, head, size, 32));
    }
}

void add_attention(Scope scope, const DeviceFacts&, Plan& plan) {
  for (const std::int64_t length : scope == Scope::quick ? Sizes{1024, 4096} : Sizes{512, 1024, 2048, 4096, 8192})
    for (const std::int64_t head : scope == Scope::quick ? Sizes{128} : Sizes{64, 128})
      for (const char* pass : {"forward", "backward"}) {
        Benchmark benchmark = product("attention", "bf16", pass, length, length, head, 32);
        benchmark.operation = "unfused";
        plan.push_back(std::move(benchmark));
      }
}

void add_sustained(Scope, const DeviceFacts&, Plan& plan) {
  plan.push_back(product("sustained", "bf16", "forward", 8192, 8192, 8192));
  plan.push_back(product("gemm", "bf16", "forward", 8192, 8192, 8192));  // what it is held against
}

// Parts of the full vector that some ranks hold must have elements.
bool is_sharded(std::string_view operation) {
  return operation == "all_gather" || operation == "reduce_scatter" || operation == "all_to_all";
}

void add_collective(Scope scope, const DeviceFacts& facts, Plan& plan) {
  for (std::int64_t ranks = 2; ranks <= facts.gpus; ranks *= 2)
    for (const char* operation :
         {"all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "all_to_all", "send_receive"})
      for (const std::int64_t bytes : powers(3, scope == Scope::quick ? 31 : 33, step_of(scope))) {
        if (is_sharded(operation) && bytes < 16 * ranks) continue;
        Benchmark benchmark = named("collective", operation);
        benchmark.type = "bf16";
        benchmark.ranks = ranks;
        benchmark.bytes = bytes;
        plan.push_back(std::move(benchmark));
      }
}

// In an order that has nothing to do with size, so that what a stopped sweep has is spread over all shapes.
void shuffle_by_key(Plan::iterator begin, Plan::iterator end) {
  const auto rank = [](const Benchmark& benchmark) {
    std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a (Fowler, Noll and Vo), 64 bits
    for (const char c : benchmark.key()) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
    return hash;
  };
  std::sort(begin, end, [&](const Benchmark& a, const Benchmark& b) { return rank(a) < rank(b); });
}

void add_references(Plan& plan) {
  constexpr std::size_t between = 100;
  Plan with;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (i % between == 0) {
      with.push_back(product("reference", "bf16", "forward", 4096, 4096, 4096));
      with.back().operation = "product_" + std::to_string(i / between);
    }
    with.push_back(std::move(plan[i]));
  }
  plan = std::move(with);
}

}  // namespace

const std::vector<PlanFamily>& plan_families() {
  static const std::vector<PlanFamily> families{
      {"launch", "empty kernels, in a stream, replayed as a graph, and on the host", add_launch},
      {"memory", "memory-bound kernels of a training step", add_memory},
      {"copy", "between host and device, and to a peer", add_copy},
      {"allocator", "allocating and freeing", add_allocator},
      {"overlap", "a product beside copies", add_overlap},
      {"gemm", "matrix products by number format and layout", add_gemm},
      {"attention", "unfused attention (fused kernels: calibrate/check/measure_attention.py)", add_attention},
      {"sustained", "what clocks a long product keeps", add_sustained},
      {"collective", "NCCL over the GPUs of this node", add_collective},
  };
  return families;
}

std::vector<Benchmark> make_plan(Scope scope, const std::vector<std::string>& only, const DeviceFacts& facts) {
  Plan plan;
  std::set<std::string> seen;
  for (const auto& level : enum_names<Scope>) {
    if (level.value > scope) break;
    for (const PlanFamily& family : plan_families()) {
      if (!only.empty() && std::find(only.begin(), only.end(), family.name) == only.end()) continue;
      Plan more;
      family.add(level.value, facts, more);
      // Communicators are kept from one collective to the next of as many ranks.
      if (family.name != "collective") shuffle_by_key(more.begin(), more.end());
      for (Benchmark& benchmark : more)
        if (seen.insert(benchmark.key()).second) plan.push_back(std::move(benchmark));
    }
  }
  add_references(plan);
  return plan;
}

Effort effort_of(Scope scope) {
  switch (scope) {
    case Scope::quick:
      return {0.02, 5, 30};
    case Scope::standard:
      return {0.05, 5, 50};
    case Scope::thorough:
      return {0.2, 10, 200};
  }
  return {};
}

double budget_minutes(Scope scope) {
  return scope == Scope::quick ? 2 : scope == Scope::standard ? 15 : 90;
}

}  // namespace echelon
