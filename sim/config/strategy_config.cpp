#include "sim/config/strategy_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <string>

#include "strategies/pipeline/schedule.h"
#include "strategies/placement/rank_layers.h"

namespace echelon {

namespace {

constexpr std::int64_t most_degree = 1'000'000;
constexpr std::int64_t most_layers = 100'000;
constexpr std::int64_t most_slice = 1'000'000'000;  // tokens

using StrategyKey = Key<Strategy>;

template <class Item>
void read_items(const Value& value, std::vector<Item>& list) {
  list.clear();
  for (const Value& item : value.items()) list.push_back(item.one_of<Item>());
}

const std::vector<StrategyKey>& recompute_keys() {
  static const std::vector<StrategyKey> keys = {
      enum_key<Recompute, Strategy>("kind", &Strategy::recompute, "what the backward pass computes again",
                                    Presence::required),
      integer_key<Strategy>("layers", 0, most_layers, &Strategy::recompute_layers,
                            "full: only this many layers of each chunk; 0 = all"),
      {{"operators", fmt::format(R"({{"type":"array","items":{}}})", enum_type<OperatorKind>()),
        "operators: the kinds that run again"},
       [](const Value& value, Strategy& strategy) { read_items(value, strategy.recompute_operators.kinds); }},
      {{"modules", fmt::format(R"({{"type":"array","items":{}}})", enum_type<RecomputeModule>()),
        "operators: the parts that run again, as Megatron-Core's --recompute-modules names them"},
       [](const Value& value, Strategy& strategy) { read_items(value, strategy.recompute_operators.modules); }},
  };
  return keys;
}

// {operators: [norm, activation]} stands for itself; {kind: full, layers: 4} and plain words for the rest.
void read_recompute(const Value& value, Strategy& strategy) {
  strategy.recompute_least = value.is_scalar() && value.text() == "auto";
  if (strategy.recompute_least) return;
  if (value.is_mapping())
    read_keys(value, recompute_keys(), strategy);
  else
    strategy.recompute = value.one_of<Recompute>();
  if ((strategy.recompute == Recompute::operators) == strategy.recompute_operators.empty())
    value.fail(fmt::format("{} names {} operators or modules", value.path(),
                           strategy.recompute_operators.empty() ? "no" : "some"),
               "expected {kind: operators, operators: [norm, activation]} or {kind: operators, modules: [layernorm, "
               "moe_act]}, and neither list for other kinds");
}

const std::vector<StrategyKey>& offload_keys() {
  static const std::vector<StrategyKey> keys = {
      enum_key<OffloadTarget, Strategy>(
          "optimizer", [](Strategy& s) -> OffloadTarget& { return s.offload.optimizer; },
          "where optimizer states lie; off the device the host takes the step (ZeRO-Offload)"),
      enum_key<OffloadTarget, Strategy>(
          "parameters", [](Strategy& s) -> OffloadTarget& { return s.offload.parameters; },
          "zero3, hybrid: where the shards lie that gathers read (ZeRO-Infinity)"),
      integer_key<Strategy>(
          "activation_layers", 0, most_layers, [](Strategy& s) -> std::int64_t& { return s.offload.activation_layers; },
          "first layers of each chunk whose activations wait in host memory for their backward pass"),
  };
  return keys;
}

void read_slice_split(const Value& value, Strategy& strategy) {
  if (!value.is_scalar()) {
    for (const Value& item : value.items()) strategy.slice_lengths.push_back(item.integer(1, most_slice));
    return;
  }
  strategy.balances_slices = value.text() == "balanced";
  if (!strategy.balances_slices && value.text() != "even")
    value.fail(fmt::format("{} is '{}'", value.path(), value.text()),
               "expected even, balanced, or a list of lengths in tokens");
}

const std::vector<StrategyKey>& slice_keys() {
  static const std::vector<StrategyKey> keys = {
      integer_key<Strategy>("count", 1, most_degree, &Strategy::sequence_slices,
                            "of a sequence; where left out, as many as split has lengths"),
      {{"split", any_of({choice_type({"even", "balanced"}), list_type(integer_type(1, most_slice))}),
        "even; balanced: lengths by predicted time, so that a pipeline of them takes least; or lengths in tokens"},
       read_slice_split},
  };
  return keys;
}

// A number cuts evenly.
void read_sequence_slices(const Value& value, Strategy& strategy) {
  strategy.slice_lengths.clear();
  strategy.balances_slices = false;
  if (!value.is_mapping()) {
    strategy.sequence_slices = value.integer(1, most_degree);
    return;
  }
  read_keys(value, slice_keys(), strategy);
  const auto listed = static_cast<std::int64_t>(strategy.slice_lengths.size());
  if (listed == 0) return;
  if (value.find("count") && strategy.sequence_slices != listed)
    value.fail(fmt::format("{} has {} lengths for {} slices", value.path(), listed, strategy.sequence_slices),
               fmt::format("expected count: {}, or as many lengths", listed));
  strategy.sequence_slices = listed;
}

void read_stage_layers(const Value& value, Strategy& strategy) {
  strategy.balances_stages = value.is_scalar() && value.text() == "balanced";
  if (strategy.balances_stages) return;
  for (const Value& item : value.items()) strategy.stage_layers.push_back(item.integer(0, most_layers));
}

// 7, or the first and the last of a run: 4-7.
void read_layer_run(const Value& value, std::vector<std::int64_t>& layers) {
  const std::string text = value.text();
  const std::size_t dash = text.find('-', 1);
  const auto number = [&](const std::string& part) {
    const bool digits = !part.empty() && part.size() <= 6 && part.find_first_not_of("0123456789") == std::string::npos;
    const std::int64_t layer = digits ? std::stoll(part) : most_layers;
    if (layer >= most_layers)
      value.fail(fmt::format("{} is '{}'", value.path(), text), "expected a layer, such as 7, or a run, such as 4-7");
    return layer;
  };
  const std::int64_t first = number(text.substr(0, dash));
  const std::int64_t last = dash == std::string::npos ? first : number(text.substr(dash + 1));
  if (last < first)
    value.fail(fmt::format("{} is '{}'", value.path(), text), fmt::format("expected {}-{}", last, first));
  for (std::int64_t layer = first; layer <= last; ++layer) layers.push_back(layer);
}

void read_rank_layers(const Value& value, Strategy& strategy) {
  strategy.rank_layers.clear();
  std::size_t listed = 0;
  for (const Value& rank : value.items()) {
    strategy.rank_layers.emplace_back();
    for (const Value& run : rank.items()) {
      const std::size_t before = strategy.rank_layers.back().size();
      read_layer_run(run, strategy.rank_layers.back());
      listed += strategy.rank_layers.back().size() - before;
      if (listed > static_cast<std::size_t>(most_layers))
        run.fail(fmt::format("{} lists more than {} layers", value.path(), most_layers), "expected each layer once");
    }
  }
  if (strategy.rank_layers.empty()) value.fail(value.path() + " is empty", "expected the layers of each pipeline rank");
}

// The rank's item of `rank_layers` that lists its `layer`-th layer.
Value layer_run(const Value& rank, std::size_t layer) {
  for (const Value& run : rank.items()) {
    std::vector<std::int64_t> layers;
    read_layer_run(run, layers);
    if (layer < layers.size()) return run;
    layer -= layers.size();
  }
  return rank;
}

// Chunks where the scenario gives none: the fewest with which the schedule has a place for all that is listed.
std::int64_t chunks_of(const Strategy& strategy) {
  const ScheduleRow& row = schedule_row(strategy.schedule);
  std::int64_t chunks = row.least_chunks;
  if (strategy.rank_layers.empty() || row.layout == StageLayout::bidirectional || row.most_chunks != 0) return chunks;
  chunks = std::max(chunks, fewest_chunks(strategy, row.layout));
  while (chunk_refusal(strategy.schedule, chunks)) ++chunks;
  return chunks;
}

void read_data_parallel(const Value& value, Strategy& strategy) {
  const bool automatic = value.is_scalar() && value.text() == "auto";
  strategy.mesh.data = automatic ? 0 : value.integer(1, most_ranks);
}

void read_tensor_parallel(const Value& value, Strategy& strategy) {
  Mesh& mesh = strategy.mesh;
  mesh.stage_tensor.clear();
  if (!value.is_sequence()) {
    mesh.tensor = value.integer(1, most_degree);
    return;
  }
  for (const Value& item : value.items()) mesh.stage_tensor.push_back(item.integer(1, most_degree));
  if (mesh.stage_tensor.empty()) value.fail(value.path() + " is empty", "expected a degree for each pipeline rank");
  mesh.tensor = *std::max_element(mesh.stage_tensor.begin(), mesh.stage_tensor.end());
}

void read_mesh_order(const Value& value, Strategy& strategy) {
  std::vector<Axis> order;
  for (const Value& item : value.items()) {
    const Axis axis = item.one_of<Axis>();
    if (std::find(order.begin(), order.end(), axis) != order.end())
      item.fail(fmt::format("{} names '{}' again", item.path(), name_of(axis)), "expected each axis once");
    order.push_back(axis);
  }
  for (const auto& entry : enum_names<Axis>)
    if (std::find(order.begin(), order.end(), entry.value) == order.end())
      value.fail(fmt::format("{} lacks '{}'", value.path(), entry.name),
                 "expected each of " + all_names<Axis>() + " once, innermost first");
  strategy.mesh.order = order;
}

std::string mesh_order_type() {
  return fmt::format(R"({{"type":"array","items":{},"minItems":5,"maxItems":5,"uniqueItems":true}})",
                     enum_type<Axis>());
}

std::vector<StrategyKey> mesh_rows() {
  const auto degree = [](std::string name, auto member, std::string meaning) {
    return integer_key<Strategy>(
        std::move(name), 1, most_degree,
        [member](Strategy& strategy) -> std::int64_t& { return strategy.mesh.*member; }, std::move(meaning));
  };
  return {
      {{"data_parallel", any_of({choice_type({"auto"}), integer_type(1, most_ranks)}),
        "replicas of the model; auto (the default) = GPUs / (tensor * pipeline * context)"},
       read_data_parallel},
      {{"tensor_parallel", any_of({integer_type(1, most_degree), list_type(integer_type(1, most_degree))}),
        "ranks that share each matrix product, of all stages or a list by pipeline rank"},
       read_tensor_parallel},
      enum_key<TensorMode, Strategy>("tensor_mode", &Strategy::tensor_mode,
                                     "how they do: 1d by columns and rows (Megatron), 2d in blocks of a square of "
                                     "ranks (Optimus), 2.5d of tensor_depth squares (Tesseract)"),
      integer_key<Strategy>("tensor_depth", 1, most_degree, &Strategy::tensor_depth,
                            "2.5d: squares of ranks that hold the same weights and divide the tokens"),
      degree("pipeline_parallel", &Mesh::pipeline, "stages that share the layers"),
      degree("context_parallel", &Mesh::context, "ranks that share each sequence"),
      degree("expert_parallel", &Mesh::expert, "ranks, inside data * context, that share the experts"),
      integer_key<Strategy>(
          "expert_tensor_parallel", 0, most_degree, [](Strategy& s) -> std::int64_t& { return s.mesh.expert_tensor; },
          "ranks that share each expert; 0 = tensor_parallel without expert parallelism, 1 with it"),
      {{"mesh_order", mesh_order_type(), "axes from the innermost (neighbouring ranks) out"}, read_mesh_order},
  };
}

std::vector<StrategyKey> schedule_rows() {
  return {
      integer_key<Strategy>("micro_batch", 1, most_degree, &Strategy::micro_batch,
                            "sequences of one micro-batch of one data-parallel rank"),
      enum_key<ScheduleKind, Strategy>("schedule", &Strategy::schedule,
                                       "pipeline schedule; 1f1b, or interleaved where virtual_stages is over 1"),
      text_key<Strategy>("schedule_file", &Strategy::schedule_file,
                         "a schedule of your own in PyTorch's CSV grammar, instead of a named one"),
      integer_key<Strategy>("virtual_stages", 1, most_layers, &Strategy::virtual_stages,
                            "chunks of layers on each pipeline rank, or copies of the model on it (dualpipe, chimera); "
                            "where left out, the fewest that the schedule takes"),
      number_key<Strategy>("schedule_activations", 0, 1e6, &Strategy::schedule_activations,
                           "searched: micro-batches whose activations a rank may keep; 0 = as 1F1B, one for each rank"),
      {{"sequence_slices", any_of({integer_type(1, most_degree), object_type_of(slice_keys())}),
        "seq1f1b, terapipe: parts of a sequence that go through the pipeline apart; a number, or how they are cut"},
       read_sequence_slices},
      enum_key<VocabularyParallel, Strategy>(
          "vocabulary_parallel", &Strategy::vocabulary_parallel,
          "embedding and output layer divided over all pipeline ranks, their passes between the stages' with two "
          "(vocab_1) or one (vocab_2) barriers, or all ranks at once (interlaced); none: on the first and last stage"),
      integer_key<Strategy>("first_stage_layers", 0, most_layers, &Strategy::first_stage_layers,
                            "layers of the first pipeline stage; 0 = an even share"),
      integer_key<Strategy>("last_stage_layers", 0, most_layers, &Strategy::last_stage_layers,
                            "layers of the last pipeline stage; 0 = an even share"),
      {{"stage_layers",
        any_of(
            {choice_type({"balanced"}), fmt::format(R"({{"type":"array","items":{}}})", integer_type(0, most_layers))}),
        "layers of every stage, in the order of the model; balanced: by predicted time"},
       read_stage_layers},
      {{"rank_layers",
        list_type(
            list_type(any_of({integer_type(0, most_layers), R"({"type":"string","pattern":"^[0-9]+-[0-9]+$"})"}))),
        "layers of every pipeline rank, from 0 and in any order, such as [0-3, 9-11]: runs that are not next to each "
        "other lie in chunks of their own"},
       read_rank_layers},
  };
}

std::vector<StrategyKey> memory_rows() {
  return {
      boolean_key<Strategy>("sequence_parallel", &Strategy::sequence_parallel,
                            "norms and dropout divided over the tensor-parallel ranks by tokens"),
      number_key<Strategy>("expert_capacity_factor", 0, 1000, &Strategy::expert_capacity_factor,
                           "each expert takes this times its mean of tokens, padded; 0 = dropless"),
      number_key<Strategy>("expert_imbalance", 1, 1e6, &Strategy::expert_imbalance,
                           "dropless: tokens of the busiest expert-parallel rank over the mean"),
      number_key<Strategy>(
          "expert_concentration", 0, 1e9, &Strategy::expert_concentration,
          "dropless: that ratio of expert shares drawn of a Dirichlet distribution with this parameter; "
          "0 = as expert_imbalance says"),
      integer_key<Strategy>("expert_seed", 0, 1'000'000'000, &Strategy::expert_seed, "of that draw"),
      integer_key<Strategy>(
          "expert_nodes_per_token", 0, most_degree, &Strategy::expert_nodes_per_token,
          "a token is sent once to each of at most so many nodes and inside them to its experts; 0 = to "
          "each expert apart"),
      enum_key<ExpertDispatch, Strategy>("expert_dispatch", &Strategy::expert_dispatch,
                                         "what is sent of a token: all_to_all a copy to each of its experts, "
                                         "deduplicated one to each node and rank that holds any (DeepEP, HybridEP)"),
      boolean_key<Strategy>("overlap_expert", &Strategy::overlap_expert,
                            "all-to-alls of experts run beside another micro-batch's compute"),
      enum_key<ContextExchange, Strategy>("context_exchange", &Strategy::context_exchange,
                                          "what the ranks of a sequence exchange: ring keys and values in turn, "
                                          "all_gather them at once, all_to_all heads "
                                          "for sequence, all_to_all_ring both"),
      integer_key<Strategy>("context_all_to_all_ranks", 1, most_degree, &Strategy::context_all_to_all_ranks,
                            "all_to_all_ring: ranks that trade heads; the ring runs across them"),
      boolean_key<Strategy>("context_balanced", &Strategy::context_balanced,
                            "each rank holds a slice from both ends of the sequence, so that causal work is even"),
      enum_key<Sharding, Strategy>(
          "sharding", &Strategy::sharding,
          "data-parallel state that is divided: zero1 optimizer, zero2 and gradients, zero3 and "
          "parameters, hybrid zero3 inside shard_ranks"),
      integer_key<Strategy>("shard_ranks", 0, most_ranks, &Strategy::shard_ranks,
                            "hybrid: ranks that share one copy; 0 = the GPUs of a node"),
      integer_key<Strategy>(
          "local_groups", 1, most_ranks, [](Strategy& s) -> std::int64_t& { return s.mesh.local_groups; },
          "groups of data-parallel ranks that train apart and meet every synchronize_every steps"),
      integer_key<Strategy>(
          "synchronize_every", 1, 1'000'000'000, [](Strategy& s) -> std::int64_t& { return s.local_steps.every; },
          "local_groups: optimizer steps from one synchronisation to the next"),
      enum_key<OuterOptimizer, Strategy>(
          "outer_optimizer", [](Strategy& s) -> OuterOptimizer& { return s.local_steps.optimizer; },
          "local_groups: what a synchronisation does: average the parameters (local SGD), or a nesterov step along "
          "their mean difference from the last (DiLoCo)"),
      boolean_key<Strategy>("reshard_after_forward", &Strategy::reshard_after_forward,
                            "zero3, hybrid: free gathered parameters after the forward pass"),
      {{"recompute", any_of({enum_type<Recompute>(), choice_type({"auto"}), object_type_of(recompute_keys())}),
        "what the backward pass computes again instead of keeping it; auto: the least that fits"},
       read_recompute},
      {{"offload", object_type_of(offload_keys()), "what leaves the device between its uses"},
       [](const Value& value, Strategy& strategy) { read_keys(value, offload_keys(), strategy); }},
  };
}

std::vector<StrategyKey> execution_rows() {
  return {
      boolean_key<Strategy>("overlap_gradient_reduce", &Strategy::overlap_gradient_reduce,
                            "data-parallel gradient reduction runs beside the backward pass"),
      boolean_key<Strategy>("overlap_parameter_gather", &Strategy::overlap_parameter_gather,
                            "parameter all-gather runs beside compute"),
      boolean_key<Strategy>("overlap_pipeline", &Strategy::overlap_pipeline,
                            "pipeline sends and receives run beside compute"),
      boolean_key<Strategy>("overlap_tensor", &Strategy::overlap_tensor,
                            "tensor-parallel collectives hidden behind their matrix products (async TP)"),
      number_key<Strategy>("overlap_tensor_share", 0, 1, &Strategy::overlap_tensor_share,
                           "share of what those products could hide that they do hide"),
      boolean_key<Strategy>("overlap_weight_gradient", &Strategy::overlap_weight_gradient,
                            "tensor-parallel collectives of the backward pass run beside weight gradients"),
      boolean_key<Strategy>("synchronous_pipeline", &Strategy::synchronous_pipeline,
                            "the host waits for the device at every pipeline send or receive"),
      boolean_key<Strategy>("keeps_input_shards", &Strategy::keeps_input_shards,
                            "sequence parallel: keep the shard of a gathered input and gather again backward"),
      boolean_key<Strategy>("divides_messages", &Strategy::divides_messages,
                            "a stage sends 1/tp of the hidden state and gathers it there"),
      boolean_key<Strategy>("keeps_stage_outputs", &Strategy::keeps_stage_outputs,
                            "what a pipeline stage sent on stays until its backward pass"),
      boolean_key<Strategy>("holds_collective_buffers", &Strategy::holds_collective_buffers,
                            "what a reduce-scatter reads stays reserved while the host is ahead of the device"),
      boolean_key<Strategy>("copies_list_by_tensor", &Strategy::copies_list_by_tensor,
                            "zero1: collectives on lists of tensors, after the last backward pass"),
      number_key<Strategy>("reduce_bucket_elements", 1, 1e12, &Strategy::reduce_bucket_elements,
                           "gradients that are reduced in one call beside the backward pass"),
      enum_key<BackwardPrefetch, Strategy>("backward_prefetch", &Strategy::backward_prefetch,
                                           "zero3 and hybrid ask for the next layer's parameters before (pre) or after "
                                           "(post) the gradients of the present one"),
      boolean_key<Strategy>("repeats_kv_heads", &Strategy::repeats_kv_heads,
                            "keys and values are copied for each query head before fused attention"),
      boolean_key<Strategy>("reorders_sequence_shards", &Strategy::reorders_sequence_shards,
                            "sequence parallel with the batch outermost: gathers and scatters copy the tensor"),
      boolean_key<Strategy>("zero2_divides_parameters", &Strategy::zero2_divides_parameters,
                            "zero2 is FSDP's shard_grad_op: zero3 that gathers once a micro-batch"),
      boolean_key<Strategy>("per_parameter_sharding", &Strategy::per_parameter_sharding,
                            "zero3 and hybrid make FSDP2's copies around their collectives, not FSDP1's"),
      boolean_key<Strategy>("accumulates_unsharded", &Strategy::accumulates_unsharded,
                            "zero3, hybrid, FSDP's shard_grad_op: whole gradients add up and are reduced with the last "
                            "micro-batch alone (FSDP's no_sync)"),
      enum_key<GradientFusion, Strategy>("fused_gradient_accumulation", &Strategy::fused_gradient_accumulation,
                                         "gradient buffers that weight-gradient products add to by themselves"),
      boolean_key<Strategy>("fused_loss", &Strategy::fused_loss, "loss in chunks: no full logits kept"),
      enum_key<KernelStyle, Strategy>("kernels", &Strategy::kernels, "how pointwise work is fused"),
      {{"loss_kernels", enum_type<KernelStyle>(),
        "the same for the final norm and the loss; as kernels where left out"},
       [](const Value& value, Strategy& strategy) { strategy.loss_kernels = value.one_of<KernelStyle>(); }},
      enum_key<AttentionKernel, Strategy>("attention", &Strategy::attention, "kernel of the attention core"),
      enum_key<CudaGraphs, Strategy>("cuda_graphs", &Strategy::cuda_graphs, "what the host replays as CUDA graphs"),
      boolean_key<Strategy>("dropout", &Strategy::dropout, "dropout runs and keeps its masks"),
      enum_key<PeakKind, Strategy>(
          "peak_memory", &Strategy::peak,
          "what a peak-memory figure counts: live tensors, the allocator's hold, or the device"),
  };
}

// "12 or 24": the divisors of `number` next to `near`, for a message. `number` is at most most_ranks.
std::string nearest_divisors(std::int64_t number, std::int64_t near) {
  std::int64_t below = 1;
  std::int64_t above = number;
  for (std::int64_t divisor = 1; divisor * divisor <= number; ++divisor) {
    if (number % divisor != 0) continue;
    for (const std::int64_t candidate : {divisor, number / divisor}) {
      if (candidate <= near) below = std::max(below, candidate);
      if (candidate >= near) above = std::min(above, candidate);
    }
  }
  return near > number ? std::to_string(number) : fmt::format("{} or {}", below, above);
}

}  // namespace

const std::vector<StrategyKey>& strategy_keys() {
  static const std::vector<StrategyKey> keys = [] {
    std::vector<StrategyKey> all = {enum_key<FrameworkKind, Strategy>(
        "framework", &Strategy::framework, "training framework, whose defaults hold for the keys that are absent")};
    for (const auto& rows : {mesh_rows(), schedule_rows(), memory_rows(), execution_rows()})
      all.insert(all.end(), rows.begin(), rows.end());
    return all;
  }();
  return keys;
}

Strategy strategy_from_yaml(const Value& value) {
  const auto framework = value.find("framework");
  Strategy strategy = framework_defaults(framework ? framework->one_of<FrameworkKind>() : FrameworkKind::megatron);
  strategy.mesh.data = 0;
  read_keys(value, strategy_keys(), strategy);
  const bool loops =
      strategy.virtual_stages > 1 || (!strategy.rank_layers.empty() && fewest_chunks(strategy, StageLayout::loop) > 1);
  if (loops && !value.find("schedule")) strategy.schedule = ScheduleKind::interleaved;
  if (!value.find("virtual_stages")) strategy.virtual_stages = chunks_of(strategy);
  const Mesh& mesh = strategy.mesh;
  if (!mesh.stage_tensor.empty() && std::ssize(mesh.stage_tensor) != mesh.pipeline)
    value.at("tensor_parallel")
        .fail(fmt::format("tensor_parallel lists {} pipeline ranks, not pipeline_parallel {}", mesh.stage_tensor.size(),
                          mesh.pipeline),
              fmt::format("pipeline_parallel {} would do", mesh.stage_tensor.size()));
  const double ranks = static_cast<double>(std::max<std::int64_t>(mesh.data, 1)) * static_cast<double>(mesh.tensor) *
                       static_cast<double>(mesh.pipeline) * static_cast<double>(mesh.context);
  if (ranks > static_cast<double>(most_ranks))
    value.fail(fmt::format("the mesh has {:.3g} ranks", ranks), fmt::format("expected at most {}", most_ranks));
  return strategy;
}

void check_rank_layers(const Value& value, std::int64_t layers, const Strategy& strategy) {
  const auto list = value.find("rank_layers");
  if (!list || !strategy.schedule_file.empty()) return;
  const auto fault = rank_layers_fault(layers, strategy);
  if (!fault) return;
  const Value place = fault->rank ? layer_run(list->items()[*fault->rank], fault->item) : *list;
  place.fail(fault->wrong, fault->right);
}

void resolve_data_parallel(const Value& value, std::int64_t gpus, Strategy& strategy) {
  Mesh& mesh = strategy.mesh;
  Mesh one = mesh;
  one.data = 1;
  const std::int64_t replica = one.ranks();
  const Value place = value.find("data_parallel").value_or(value);
  const std::string product = mesh.stage_tensor.empty()
                                  ? fmt::format("tensor_parallel {} x pipeline_parallel {} x context_parallel {} = {}",
                                                mesh.tensor, mesh.pipeline, mesh.context, replica)
                                  : fmt::format("tensor_parallel [{}] x context_parallel {} = {}",
                                                fmt::join(mesh.stage_tensor, ", "), mesh.context, replica);
  if (gpus % replica != 0) {
    const std::int64_t multiple = gpus / replica * replica;
    const std::string counts =
        multiple > 0 ? fmt::format("{} or {}", multiple, multiple + replica) : std::to_string(replica);
    place.fail(fmt::format("{} does not divide the {} GPUs", product, gpus),
               fmt::format("expected {} GPUs, or a product of {}", counts, nearest_divisors(gpus, replica)));
  }
  if (mesh.data == 0) mesh.data = gpus / replica;
  if (mesh.data * replica != gpus)
    place.fail(
        fmt::format("data_parallel {} x {} makes {} ranks for {} GPUs", mesh.data, product, mesh.data * replica, gpus),
        fmt::format("expected data_parallel: {}, or auto", gpus / replica));
}

}  // namespace echelon
