#include "sim/model/transformer.h"

#include <boost/graph/topological_sort.hpp>

#include "sim/base/error.h"
#include "tests/catch.h"
#include "tests/gpt_shape.h"

namespace echelon {
namespace {

// The smallest GPT of arXiv:2104.04473, table 1: 24 layers of 2304 features, 24 heads, 51200 words, 2048 tokens.
TransformerSpec gpt() {
  TransformerSpec spec = testing::gpt_shape(24, 2304, 24, 51200, 2048);
  spec.name = "gpt-1.7b";
  return spec;
}

// Llama's style, small.
TransformerSpec llama() {
  TransformerSpec spec;
  spec.layers = 4;
  spec.hidden = 64;
  spec.heads = 8;
  spec.kv_heads = 2;
  spec.ffn = 160;
  spec.vocabulary = 1000;
  spec.position_kind = PositionKind::rotary;
  spec.norm = NormKind::rms_norm;
  spec.gated = true;
  spec.qkv_bias = spec.out_bias = spec.mlp_bias = spec.tied_embeddings = false;
  return spec;
}

TransformerSpec mixture() {
  TransformerSpec spec = llama();
  spec.mixture = MixtureOfExperts{.experts = 16, .top_k = 4, .ffn = 32, .shared_ffn = 48};
  return spec;
}

const Operator& find_operator(const Block& block, std::string_view name) {
  for (const auto vertex : boost::make_iterator_range(vertices(block.graph)))
    if (block.graph[vertex].name == name) return block.graph[vertex];
  throw std::out_of_range(std::string(name));
}

const Block& only_layer(const Model& model) {
  return model.blocks[1];
}

// Entries, exits, cycles, and the promise that edges go from lower to higher indices.
void check_graph(const Block& block) {
  const OperatorGraph& graph = block.graph;
  std::size_t entries = 0, exits = 0;
  for (const auto vertex : boost::make_iterator_range(vertices(graph))) {
    entries += in_degree(vertex, graph) == 0;
    exits += out_degree(vertex, graph) == 0;
  }
  CHECK(entries == 1);
  CHECK(exits == 1);
  for (const auto edge : boost::make_iterator_range(edges(graph))) {
    CHECK(source(edge, graph) < target(edge, graph));
    CHECK(graph[edge].width > 0);
  }
  std::vector<OperatorGraph::vertex_descriptor> order;
  CHECK_NOTHROW(boost::topological_sort(graph, std::back_inserter(order)));
}

double forward_flops(const Model& model, double sequence) {
  const OperatorGraph whole = expand(model);
  Flops sum;
  for (const auto vertex : boost::make_iterator_range(vertices(whole)))
    sum += model_forward_flops(whole[vertex], 1, sequence);
  return sum.value();
}

}  // namespace

TEST_CASE("GPT's parameters follow the closed form") {
  const TransformerSpec spec = gpt();
  const double l = 24, h = 2304, v = 51200, s = 2048;
  // arXiv:2104.04473, equation 2; the final norm's 2 h are left out there. Table 1 prints 1.7 billion.
  const double expected = 12 * l * h * h * (1 + 13 / (12 * h) + (v + s) / (12 * l * h)) + 2 * h;
  const Model model = build_transformer(spec);
  CHECK(parameter_count(model) == Approx(expected).epsilon(1e-12));
  CHECK(parameter_count(model) / 1e9 == Approx(1.7).margin(0.05));
  CHECK(embedding_parameter_count(model) == (v + s) * h);
  CHECK(active_parameter_count(model) == parameter_count(model));
}

TEST_CASE("GPT's FLOPs follow the closed form") {
  const double l = 24, h = 2304, v = 51200, s = 2048;
  // arXiv:2104.04473, equation 3, is 96 B s l h^2 (1 + s/(6 h) + V/(16 l h)) for four passes through the layers and
  // three through the output projection: one pass is 24 l h^2 (1 + s/(6 h)) + 2 h V a token.
  const double expected = 24 * l * h * h * (1 + s / (6 * h)) + 2 * h * v;
  CHECK(forward_flops(build_transformer(gpt()), s) == Approx(expected).epsilon(1e-12));
}

TEST_CASE("Forward FLOPs of a token are twice the active weights that multiply, and attention") {
  const Model model = build_transformer(mixture());
  // Left out: input embedding 1000*64; norms 2 a layer and the final one, 64 each. Attention: 4 layers of
  // 4 * heads * head_dim * s = 4 * 8 * 8 * s.
  const double weights = active_parameter_count(model) - 64000 - (2 * 4 + 1) * 64;
  CHECK(forward_flops(model, 512) == Approx(2 * weights + 4 * 4 * 64 * 512.0).epsilon(1e-12));
}

TEST_CASE("A tied table counts once") {
  TransformerSpec spec = llama();
  const double untied = parameter_count(build_transformer(spec));
  spec.tied_embeddings = true;
  const Model model = build_transformer(spec);
  CHECK(parameter_count(model) == untied - 1000 * 64);
  CHECK(model.tied_embeddings);
  const Operator& project = find_operator(model.blocks.back(), "output_projection");
  CHECK(project.transposed_of);
  CHECK(project.parameters == 0);
  CHECK(forward_flops(model, 128) == forward_flops(build_transformer(llama()), 128));
}

TEST_CASE("A Llama layer: grouped heads, gated MLP, Megatron's splits") {
  const Model model = build_transformer(llama());
  REQUIRE(model.blocks.size() == 3);
  CHECK(model.layers == std::vector<std::int32_t>{1, 1, 1, 1});
  const Block& layer = only_layer(model);
  // Query 64, keys and values 2 heads of 8 each: 64 + 2 * 16 = 96.
  const Operator& qkv = find_operator(layer, "qkv");
  CHECK(qkv.out_features == 96);
  CHECK(qkv.split == TensorSplit::column);
  CHECK(find_operator(layer, "attention_output").split == TensorSplit::row);
  CHECK(find_operator(layer, "mlp_up").out_features == 2 * 160);
  CHECK(find_operator(layer, "mlp_activation").gated);
  CHECK(find_operator(layer, "mlp_activation").width == 160);
  CHECK(find_operator(layer, "mlp_down").in_features == 160);
  CHECK(find_operator(model.blocks.back(), "cross_entropy").width == 1000);
}

TEST_CASE("Mixtures: routed and shared experts, active parameters") {
  const Model model = build_transformer(mixture());
  const Block& layer = only_layer(model);
  const Operator& up = find_operator(layer, "experts_up");
  CHECK(up.routed);
  CHECK(up.experts == 16);
  CHECK(up.row_share == 4);
  CHECK(up.parameters == 16 * 64 * 64);  // 16 experts, 64 features to 2 * 32
  CHECK_FALSE(find_operator(layer, "shared_expert_up").routed);
  CHECK(find_operator(layer, "router").split == TensorSplit::replicated);
  // 12 of 16 experts idle, each 3 * 64 * 32, in 4 layers.
  CHECK(parameter_count(model) - active_parameter_count(model) == 4 * 12 * 3 * 64 * 32);
  CHECK(model.experts == 16);
  CHECK(model.experts_per_token == 4);
}

TEST_CASE("Latent attention: DeepSeek-V3's sizes") {
  TransformerSpec spec = llama();
  spec.hidden = 7168;
  spec.heads = spec.kv_heads = 128;
  spec.latent = LatentAttention{.q_rank = 1536, .kv_rank = 512, .nope_dim = 128, .rope_dim = 64, .v_dim = 128};
  const Model model = build_transformer(spec);
  double sum = 0;
  for (const char* name : {"q_down", "q_norm", "q_up", "kv_down", "kv_norm", "kv_up", "attention_output"})
    sum += find_operator(only_layer(model), name).parameters;
  // 7168*1536 + 1536 + 1536*128*192 + 7168*(512+64) + 512 + 512*128*256 + 128*128*7168 (arXiv:2412.19437, section 4.2).
  CHECK(sum == 11010048.0 + 1536 + 37748736 + 4128768 + 512 + 16777216 + 117440512);
  const Operator& attention = find_operator(only_layer(model), "attention");
  CHECK(attention.attention.qk_head_dim == 192);
  CHECK(attention.attention.v_head_dim == 128);
  CHECK(find_operator(only_layer(model), "q_down").split == TensorSplit::replicated);
  CHECK(find_operator(only_layer(model), "q_up").split == TensorSplit::column);
}

TEST_CASE("Layers that differ have blocks of their own") {
  TransformerSpec spec = mixture();
  spec.layer_specs = {
      {LayerKind::dense, 0}, {LayerKind::mixture, 128}, {LayerKind::mixture, 0}, {LayerKind::mixture, 128}};
  const Model model = build_transformer(spec);
  CHECK(model.layers == std::vector<std::int32_t>{1, 2, 3, 2});
  CHECK(model.blocks[2].name == "mixture_window_128");
  CHECK(find_operator(model.blocks[2], "attention").attention.window == 128);
}

TEST_CASE("Norms after, both, in parallel; norms of queries and keys") {
  TransformerSpec spec = llama();
  const double base = parameter_count(build_transformer(spec));
  spec.norm_placement = NormPlacement::after;
  CHECK(parameter_count(build_transformer(spec)) == base);
  spec.norm_placement = NormPlacement::both;
  CHECK(parameter_count(build_transformer(spec)) == base + 4 * 2 * 64);
  spec.norm_placement = NormPlacement::before;
  spec.block_order = BlockOrder::parallel_shared_norm;
  CHECK(parameter_count(build_transformer(spec)) == base - 4 * 64);
  spec.block_order = BlockOrder::parallel;
  CHECK(parameter_count(build_transformer(spec)) == base);
  spec.qk_norm = QkNorm::per_head;
  CHECK(parameter_count(build_transformer(spec)) == base + 4 * 2 * 8);
  spec.qk_norm = QkNorm::all_heads;
  CHECK(parameter_count(build_transformer(spec)) == base + 4 * (64 + 16));
  spec.qk_norm = QkNorm::unweighted;
  CHECK(parameter_count(build_transformer(spec)) == base);
}

TEST_CASE("A Mamba-2 layer") {
  TransformerSpec spec = llama();
  spec.state_space = StateSpace{.heads = 4, .head_dim = 32, .state = 16, .groups = 2, .convolution = 4};
  spec.layer_specs.assign(4, {LayerKind::state_space});
  const Model model = build_transformer(spec);
  // Inner width 128; B and C 2*2*16 = 64 features; projection to 2*128 + 64 + 4 = 324.
  CHECK(find_operator(only_layer(model), "ssm_input").out_features == 324);
  // Convolution of 192 features: 4 taps and a bias; 3 numbers a head; the gated norm's 128.
  CHECK(find_operator(only_layer(model), "ssm_scan").parameters == 192 * 5 + 3 * 4 + 128);
  CHECK(find_operator(only_layer(model), "ssm_scan").state_flops == 7 * 128 * 16);
}

TEST_CASE("Every block is acyclic with one entry and one exit") {
  std::vector<TransformerSpec> specs = {gpt(), llama(), mixture()};
  for (const NormPlacement placement : {NormPlacement::before, NormPlacement::after, NormPlacement::both}) {
    specs.push_back(mixture());
    specs.back().norm_placement = placement;
  }
  for (const BlockOrder order : {BlockOrder::parallel, BlockOrder::parallel_shared_norm}) {
    specs.push_back(gpt());
    specs.back().block_order = order;
  }
  specs.push_back(mixture());
  specs.back().latent = LatentAttention{.q_rank = 24,
                                        .kv_rank = 16,
                                        .nope_dim = 8,
                                        .rope_dim = 4,
                                        .v_dim = 8,
                                        .index_heads = 2,
                                        .index_dim = 4,
                                        .index_keys = 64};
  for (const TransformerSpec& spec : specs)
    for (const Block& block : build_transformer(spec).blocks) check_graph(block);
}

TEST_CASE("expand() unrolls every layer and joins exit to entry") {
  const Model model = build_transformer(mixture());
  const OperatorGraph whole = expand(model);
  const auto size = [&](std::size_t block) { return num_vertices(model.blocks[block].graph); };
  const auto links = [&](std::size_t block) { return num_edges(model.blocks[block].graph); };
  CHECK(num_vertices(whole) == size(0) + 4 * size(1) + size(2));
  CHECK(num_edges(whole) == links(0) + 4 * links(1) + links(2) + 5);
  check_graph({"whole", BlockRole::layer, whole});
  double sum = 0;
  for (const auto vertex : boost::make_iterator_range(vertices(whole))) sum += whole[vertex].parameters;
  CHECK(sum == parameter_count(model));
}

TEST_CASE("A spec that does not fit together is our own bug") {
  TransformerSpec spec = llama();
  spec.layer_specs.resize(3);
  CHECK_THROWS_AS(build_transformer(spec), InternalError);
  spec.layer_specs.assign(4, {LayerKind::mixture});
  CHECK_THROWS_AS(build_transformer(spec), InternalError);
}

}  // namespace echelon
