#include "calibrate/sweep/plan.h"

#include <algorithm>
#include <array>
#include <functional>
#include <set>

#include "calibrate/gpu/attention_variant.h"
#include "calibrate/gpu/expert_rows.h"
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

void add_overlap(Scope, const DeviceFacts& facts, Plan& plan) {
  std::vector<const char*> operations{"product_alone", "product_beside_device_copy", "product_beside_host_copy"};
  if (facts.gpus > 1) operations.push_back("product_beside_all_reduce");
  for (const char* operation : operations)
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

// The formats that training uses most first; nothing trains in int8.
bool has_gradients(Scope scope, std::string_view type) {
  if (type == "bf16") return true;
  if (type == "fp8") return scope >= Scope::standard;
  return scope == Scope::thorough && type != "int8";
}

void add_gemm(Scope scope, const DeviceFacts&, Plan& plan) {
  for (const char* type : {"bf16", "fp16", "fp8", "tf32", "fp32", "int8"}) {
    if (scope == Scope::quick && std::string_view(type) == "int8") continue;
    add_grid(scope, type, plan);
    add_layers(scope, type, has_gradients(scope, type), plan);
  }
  // Scores and mixtures of unfused attention.
  for (const std::int64_t size : scope == Scope::quick ? Sizes{1024, 4096} : Sizes{512, 1024, 2048, 4096, 8192})
    for (const std::int64_t head : {64, 128}) {
      plan.push_back(product("gemm", "bf16", "forward", size, size, head, 32));
      plan.push_back(product("gemm", "bf16", "input_gradient", size, head, size, 32));
    }
}

// Experts on one rank, hidden size and an expert's: Mixtral 8x7B's (arXiv:2401.04088), a share of DeepSeek-V3's 256
// (arXiv:2412.19437) and of Qwen3 30B's 128 (its configuration on Hugging Face).
constexpr std::array<std::array<std::int64_t, 3>, 3> expert_shapes{
    {{8, 4096, 14336}, {32, 7168, 2048}, {32, 2048, 768}}};

// Of experts that were sent unlike numbers of tokens, `rows` at the mean.
void add_ragged(std::int64_t experts, std::int64_t hidden, std::int64_t ffn, std::int64_t rows, Plan& plan) {
  plan.push_back(product("grouped", "bf16", "forward", rows, ffn, hidden, experts));
  plan.back().operation = ragged_product;
  plan.push_back(product("grouped", "bf16", "input_gradient", rows, hidden, ffn, experts));
  plan.back().operation = ragged_product;
  plan.push_back(product("grouped", "bf16", "weight_gradient", hidden, ffn, rows, experts));
  plan.back().operation = ragged_product;
}

// The products of experts that were sent as many tokens each, and from the standard sweep on others.
void add_grouped(Scope scope, const DeviceFacts&, Plan& plan) {
  const bool coarse = scope == Scope::quick;
  for (const auto& [experts, hidden, ffn] : expert_shapes)
    for (const std::int64_t rows : coarse ? Sizes{512, 2048} : Sizes{128, 256, 512, 1024, 2048, 4096}) {
      if (!is_short("bf16", static_cast<double>(experts * rows), static_cast<double>(hidden), static_cast<double>(ffn)))
        continue;
      plan.push_back(product("grouped", "bf16", "forward", rows, ffn, hidden, experts));
      plan.push_back(product("grouped", "bf16", "weight_gradient", hidden, ffn, rows, experts));
      if (coarse) continue;
      plan.push_back(product("grouped", "bf16", "forward", rows, hidden, ffn, experts));
      plan.push_back(product("grouped", "bf16", "input_gradient", rows, hidden, ffn, experts));
      add_ragged(experts, hidden, ffn, rows, plan);
    }
}

void add_fused(const char* type, std::int64_t tokens, std::int64_t length, std::int64_t head, std::int64_t heads,
               std::int64_t kv_heads, bool causal, Plan& plan) {
  if (tokens < length) return;
  for (const bool backward : {false, true}) {
    Benchmark benchmark = product("attention", type, "", length, length, head, tokens / length);
    benchmark.operation = "fused";
    benchmark.variant = AttentionVariant{causal, backward}.name();
    benchmark.heads = heads;
    benchmark.kv_heads = kv_heads;
    plan.push_back(std::move(benchmark));
  }
}

// Of one sequence or few, on a rank of tensor parallelism: fixed time and the unlike ends of the multiprocessors show.
void add_small_attention(const Sizes& lengths, const Sizes& heads, const Sizes& sequences, Plan& plan) {
  for (const std::int64_t length : lengths)
    for (const std::int64_t count : heads)
      for (const std::int64_t head : {64, 128})
        for (const std::int64_t batch : sequences)
          for (const bool causal : {true, false})
            add_fused("bf16", batch * length, length, head, count, count, causal, plan);
}

// Lengths, head sizes, heads and masks that models have.
void add_fused_attention(Scope scope, Plan& plan) {
  if (scope == Scope::quick) {
    for (const std::int64_t length : {1024, 2048, 4096, 8192, 16384})
      add_fused("bf16", 16384, length, 128, 32, 8, true, plan);
    for (const std::int64_t length : {1024, 4096, 16384}) add_fused("bf16", 16384, length, 128, 32, 32, true, plan);
    return;
  }
  const bool fine = scope == Scope::thorough;
  for (const char* type : fine ? std::vector<const char*>{"bf16", "fp16"} : std::vector<const char*>{"bf16"})
    for (const std::int64_t tokens : fine ? Sizes{8192, 16384, 32768} : Sizes{16384})
      for (const std::int64_t length : {512, 1024, 2048, 4096, 8192, 16384})
        for (const std::int64_t head : {64, 128}) {
          add_fused(type, tokens, length, head, 32, 32, true, plan);
          add_fused(type, tokens, length, head, 32, 8, true, plan);
          if (head == 64 && !fine) continue;
          add_fused(type, tokens, length, head, 16, 16, true, plan);
          add_fused(type, tokens, length, head, 32, 32, false, plan);
        }
  add_small_attention({256, 512, 1024, 2048, 4096}, {4, 8}, {1}, plan);
  // Many short sequences: there a block's first and last keys are a large part.
  if (fine) add_small_attention({128, 256, 512, 1024}, {16, 32}, {8, 16, 32, 64}, plan);
}

void add_attention(Scope scope, const DeviceFacts&, Plan& plan) {
  add_fused_attention(scope, plan);
  for (const std::int64_t length : scope == Scope::quick ? Sizes{1024, 4096} : Sizes{512, 1024, 2048, 4096, 8192})
    for (const std::int64_t head : scope == Scope::quick ? Sizes{128} : Sizes{64, 128})
      for (const char* pass : {"forward", "backward"}) {
        Benchmark benchmark = product("attention", "bf16", pass, length, length, head, 32);
        benchmark.operation = "unfused";
        plan.push_back(std::move(benchmark));
      }
}

void add_sustained(Scope, const DeviceFacts&, Plan& plan) {
  for (const char* type : {"bf16", "fp8"}) {
    plan.push_back(product("sustained", type, "forward", 8192, 8192, 8192));
    plan.push_back(product("gemm", type, "forward", 8192, 8192, 8192));  // what it is held against
  }
}

// Parts of the full vector that some ranks hold must have elements.
bool is_sharded(std::string_view operation) {
  return operation == "all_gather" || operation == "reduce_scatter" || operation == "all_to_all";
}

// Powers of two from 2 up to `most`, and `most` itself.
Sizes group_sizes(std::int64_t most) {
  Sizes sizes;
  for (std::int64_t size = 2; size < most; size *= 2) sizes.push_back(size);
  if (most > 1) sizes.push_back(most);
  return sizes;
}

// Of `ranks` GPUs in one node, or with `per_node` on each of several.
void add_group(Scope scope, std::int64_t ranks, std::int64_t per_node, Plan& plan) {
  for (const char* operation :
       {"all_reduce", "all_gather", "reduce_scatter", "broadcast", "reduce", "all_to_all", "send_receive"})
    for (const std::int64_t bytes : powers(3, scope == Scope::quick ? 31 : 33, step_of(scope))) {
      if (is_sharded(operation) && bytes < 16 * ranks) continue;
      Benchmark benchmark = named("collective", operation);
      benchmark.type = "bf16";
      benchmark.ranks = ranks;
      benchmark.bytes = bytes;
      benchmark.ranks_per_node = per_node;
      plan.push_back(std::move(benchmark));
    }
}

void add_collective(Scope scope, const DeviceFacts& facts, Plan& plan) {
  for (const std::int64_t ranks : group_sizes(facts.gpus)) add_group(scope, ranks, 0, plan);
  for (const std::int64_t nodes : group_sizes(facts.nodes))
    for (const std::int64_t per_node : facts.gpus > 1 ? Sizes{1, facts.gpus} : Sizes{1})
      add_group(scope, nodes * per_node, per_node, plan);
}

// In an order that has nothing to do with family or size, so that what a stopped sweep has is spread over all of them.
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
      {"overlap", "a product beside copies and all-reduces", add_overlap},
      {"gemm", "matrix products by number format and layout", add_gemm},
      {"grouped", "experts' products, a call of cuBLAS each on four streams", add_grouped},
      {"attention", "attention as one kernel of cuDNN, and unfused", add_attention},
      {"sustained", "what clocks a long product keeps", add_sustained},
      {"collective", "NCCL over the GPUs of this node, and with --rendezvous of several", add_collective},
  };
  return families;
}

std::vector<Benchmark> make_plan(Scope scope, const std::vector<std::string>& only, const DeviceFacts& facts) {
  Plan plan;
  std::set<std::string> seen;
  for (const auto& level : enum_names<Scope>) {
    if (level.value > scope) break;
    Plan alone, together;  // communicators are kept from one collective to the next of as many ranks
    for (const PlanFamily& family : plan_families())
      if (only.empty() || std::find(only.begin(), only.end(), family.name) != only.end())
        family.add(level.value, facts, family.name == "collective" ? together : alone);
    shuffle_by_key(alone.begin(), alone.end());
    for (Plan* part : {&alone, &together})
      for (Benchmark& benchmark : *part)
        if (seen.insert(benchmark.key()).second) plan.push_back(std::move(benchmark));
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
      return {0.1, 10, 200};
  }
  return {};
}

double budget_minutes(Scope scope) {
  return scope == Scope::quick ? 2 : scope == Scope::standard ? 15 : 90;
}

}  // namespace echelon
