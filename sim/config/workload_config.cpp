#include "sim/config/workload_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string>

namespace echelon {

namespace {

constexpr std::int64_t most_tokens = 100'000'000;
constexpr std::int64_t most_sequences = 10'000'000;

// Formats that each part of a precision may have.
const std::vector<DataType> name_types = {DataType::fp32, DataType::tf32,  DataType::fp16, DataType::bf16,
                                          DataType::fp8,  DataType::mxfp8, DataType::nvfp4};
const std::vector<DataType> compute_types = {DataType::fp32, DataType::tf32, DataType::fp16, DataType::bf16};
const std::vector<DataType> gradient_types = {DataType::fp32, DataType::fp16, DataType::bf16};

enum class Fp8Scaling { tensorwise, rowwise };

std::vector<std::string> spelt(const std::vector<DataType>& types) {
  std::vector<std::string> names;
  for (const DataType type : types) names.emplace_back(name_of(type));
  return names;
}

DataType one_of_types(const Value& value, const std::vector<DataType>& types) {
  const std::string name = value.text();
  const auto type = from_name<DataType>(name);
  if (type && std::find(types.begin(), types.end(), *type) != types.end()) return *type;
  const std::vector<std::string> names = spelt(types);
  const auto near = nearest(name, names);
  value.fail(fmt::format("{} is '{:.40}'", value.path(), name),
             near ? fmt::format("did you mean '{}'? (one of: {})", *near, fmt::join(names, ", "))
                  : fmt::format("expected one of: {}", fmt::join(names, ", ")));
}

Key<Precision> type_key(std::string name, const std::vector<DataType>& types, DataType Precision::*member,
                        std::string meaning) {
  return {
      {std::move(name), choice_type(spelt(types)), std::move(meaning)},
      [&types, member](const Value& value, Precision& precision) { precision.*member = one_of_types(value, types); }};
}

}  // namespace

template <>
inline constexpr auto enum_names<Fp8Scaling> = std::to_array<EnumName<Fp8Scaling>>({
    {Fp8Scaling::tensorwise, "tensorwise"},
    {Fp8Scaling::rowwise, "rowwise"},
});

namespace {

const std::vector<Key<Precision>>& precision_keys() {
  static const std::vector<Key<Precision>> keys = {
      type_key("compute", compute_types, &Precision::compute, "activations and matrix products outside linear layers"),
      type_key("matrix", name_types, &Precision::matrix, "inputs of linear layers: as compute, or fp8, mxfp8, nvfp4"),
      type_key("gradient", gradient_types, &Precision::gradient, "buffer that accumulates gradients"),
      type_key("gradient_reduce", gradient_types, &Precision::gradient_reduce,
               "gradients that data parallelism sends; absent: as gradient with megatron and deepspeed"),
      boolean_key<Precision>("fp8_activation_gather", &Precision::fp8_activation_gather,
                             "sequence parallelism casts its shards, then gathers them in fp8"),
      boolean_key<Precision>("fp8_parameter_gather", &Precision::fp8_parameter_gather,
                             "sharded fp8 weights are gathered in fp8"),
      boolean_key<Precision>(
          "fp8_dot_product_attention", &Precision::fp8_attention,
          "with matrix: mxfp8, fused attention too; 16-bit where its 8-bit kernels were not measured"),
      {{"fp8_scaling", enum_type<Fp8Scaling>(), "one scale for a tensor, or one for each row"},
       [](const Value& value, Precision& precision) {
         precision.fp8_rowwise_scaling = value.one_of<Fp8Scaling>() == Fp8Scaling::rowwise;
       }},
  };
  return keys;
}

bool is_quantised(DataType type) {
  return type == DataType::fp8 || type == DataType::mxfp8 || type == DataType::nvfp4;
}

void read_precision(const Value& value, Workload& workload) {
  if (!value.is_mapping()) {
    workload.precision = precision_of(one_of_types(value, name_types));
    return;
  }
  const auto compute = value.find("compute");
  const auto matrix = value.find("matrix");
  Precision precision = precision_of(compute ? one_of_types(*compute, compute_types) : DataType::bf16);
  read_keys(value, precision_keys(), precision);
  if (matrix && precision.matrix != precision.compute && !is_quantised(precision.matrix))
    matrix->fail(fmt::format("{} is {} while compute is {}", matrix->path(), name_of(precision.matrix),
                             name_of(precision.compute)),
                 fmt::format("expected {}, fp8, mxfp8 or nvfp4", name_of(precision.compute)));
  const auto attention = value.find("fp8_dot_product_attention");
  if (attention && precision.fp8_attention && precision.matrix != DataType::mxfp8)
    attention->fail(fmt::format("{} with matrix {}", attention->path(), name_of(precision.matrix)),
                    "expected matrix: mxfp8, whose attention is known");
  workload.precision = precision;
}

const std::vector<Key<Workload>>& optimizer_keys() {
  static const std::vector<Key<Workload>> keys = {
      enum_key<OptimizerKind, Workload>("kind", &Workload::optimizer, "update rule", Presence::required),
      enum_key<OptimizerVariant, Workload>(
          "variant", &Workload::optimizer_variant,
          "megatron: 16-bit weights, fp32 masters; pytorch: fp32 parameters; the default is the framework's"),
  };
  return keys;
}

void read_optimizer(const Value& value, Workload& workload) {
  if (value.is_mapping())
    read_keys(value, optimizer_keys(), workload);
  else
    workload.optimizer = value.one_of<OptimizerKind>();
}

}  // namespace

const std::vector<Key<Workload>>& workload_keys() {
  static const std::vector<Key<Workload>> keys = {
      integer_key<Workload>("sequence_length", 1, most_tokens, &Workload::sequence_length,
                            "tokens of one sequence; no such key for a model that is a graph of operators"),
      integer_key<Workload>("global_batch", 1, most_sequences, &Workload::global_batch,
                            "sequences of one optimizer step", Presence::required),
      {{"precision", any_of({choice_type(spelt(name_types)), object_type_of(precision_keys())}),
        "number formats, by name or one by one; bf16 is the default"},
       read_precision},
      {{"optimizer", any_of({enum_type<OptimizerKind>(), object_type_of(optimizer_keys())}),
        "optimizer; adam is the default"},
       read_optimizer},
  };
  return keys;
}

Precision precision_of(DataType name) {
  Precision precision;
  if (is_quantised(name)) {
    precision.matrix = name;
    return precision;
  }
  precision.compute = name;
  precision.matrix = name;
  if (name == DataType::fp16) {  // Megatron-LM forces fp32 accumulation with bf16 alone (arguments.py)
    precision.gradient = DataType::fp16;
    precision.gradient_reduce = DataType::fp16;
  }
  return precision;
}

OptimizerVariant default_variant(FrameworkKind framework) {
  const bool pytorch = framework == FrameworkKind::torchtitan || framework == FrameworkKind::fsdp;
  return pytorch ? OptimizerVariant::pytorch : OptimizerVariant::megatron;
}

// Megatron-LM sends the buffer that it accumulates in (distributed/param_and_grad_buffer.py), DeepSpeed what its
// communication_data_type says, the gradients' own by default. PyTorch's and nanotron's reductions have a format apart.
bool sends_what_it_keeps(FrameworkKind framework) {
  return framework == FrameworkKind::megatron || framework == FrameworkKind::deepspeed;
}

bool gives_reduction(const Value& workload) {
  const auto precision = workload.find("precision");
  return precision && precision->is_mapping() && precision->find("gradient_reduce");
}

Workload workload_from_yaml(const Value& value, FrameworkKind framework, SampleTokens sample) {
  const auto length = value.find("sequence_length");
  if (sample == SampleTokens::one && length)
    length->fail("sequence_length for a model whose samples have a shape", "expected no such key");
  Workload workload;
  workload.sequence_length = 1;
  workload.optimizer_variant = default_variant(framework);
  read_keys(value, workload_keys(), workload);
  if (sends_what_it_keeps(framework) && !gives_reduction(value))
    workload.precision.gradient_reduce = workload.precision.gradient;
  if (sample == SampleTokens::sequence) value.at("sequence_length");  // which transformers cannot do without
  return workload;
}

}  // namespace echelon
