#include "sim/config/model_config.h"

#include "sim/model/transformer.h"
#include "tests/catch.h"
#include "tests/config/config_test.h"

namespace echelon {
namespace {

TransformerSpec shape_of(const std::string& text) {
  return transformer_from_yaml(parse_text(text, "doc"));
}

std::string shape_error(const std::string& text) {
  return test::error_of([&] { shape_of(text); });
}

const std::string gpt = "layers: 24, hidden: 2048, heads: 16, vocabulary: 50304";

std::string mapping(const std::string& more) {
  return "{" + gpt + (more.empty() ? "" : ", ") + more + "}";
}

}  // namespace

TEST_CASE("A model's defaults are GPT's") {
  const TransformerSpec spec = shape_of(mapping(""));
  CHECK(spec.positions == 2048);
  CHECK(spec.position_kind == PositionKind::learned);
  CHECK(spec.norm == NormKind::layer_norm);
  CHECK(spec.source == "doc");
  // 12 l h^2 (1 + 13/(12 h) + (V + s)/(12 l h)) + 2 h (arXiv:2104.04473, equation 2, and the final norm):
  // 24 * (12 * 2048^2 + 13 * 2048) + (50304 + 2048) * 2048 + 2 * 2048.
  CHECK(parameter_count(build_transformer(spec)) == 1208598528.0 + 107216896 + 4096);
}

TEST_CASE("Llama-3.1 8B in a few lines") {
  const TransformerSpec spec = shape_of(
      "{name: mine, layers: 32, hidden: 4096, heads: 32, kv_heads: 8, ffn: 14336, vocabulary: 128256, gated: true,"
      " norm: rms_norm, biases: none, positions: rotary, tied_embeddings: false}");
  CHECK(spec.name == "mine");
  CHECK(parameter_count(build_transformer(spec)) == 8030261248.0);  // the model page's count
}

TEST_CASE("DeepSeek-V3 in a few lines") {
  const TransformerSpec spec = shape_of(
      "{layers: 61, hidden: 7168, heads: 128, ffn: 18432, vocabulary: 129280, gated: true, norm: rms_norm, biases: "
      "none,"
      " positions: rotary, tied_embeddings: false,"
      " mla: {q_rank: 1536, kv_rank: 512, nope_dim: 128, rope_dim: 64, v_dim: 128},"
      " moe: {experts: 256, top_k: 8, ffn: 2048, shared_ffn: 2048, first_dense_layers: 3}}");
  CHECK(parameter_count(build_transformer(spec)) / 1e9 == Approx(671.026).margin(0.001));
}

TEST_CASE("Windows, global layers and sparse mixtures") {
  const TransformerSpec spec =
      shape_of(mapping("window: 128, global_every: 6, moe: {experts: 8, top_k: 2, first_dense_layers: 2, every: 2}"));
  REQUIRE(spec.layer_specs.size() == 24);
  CHECK(spec.layer_specs[4] == LayerSpec{LayerKind::dense, 128});
  CHECK(spec.layer_specs[5] == LayerSpec{LayerKind::mixture, 0});
  CHECK(spec.layer_specs[0].kind == LayerKind::dense);
  CHECK(spec.layer_specs[2].kind == LayerKind::dense);  // the first after the dense ones is not the second
  CHECK(spec.layer_specs[3].kind == LayerKind::mixture);
  CHECK(spec.mixture->ffn == 4 * 2048);
}

TEST_CASE("Biases where they are asked for") {
  const TransformerSpec queries = shape_of(mapping("biases: qkv"));
  CHECK(queries.qkv_bias);
  CHECK_FALSE(queries.out_bias);
  CHECK_FALSE(queries.mlp_bias);
  CHECK_FALSE(queries.norm_bias);
}

TEST_CASE("YaRN's factor on rotary positions can be written down") {
  CHECK(shape_of(mapping("positions: rotary, scaled_rotary: true")).scaled_rotary);
  CHECK_FALSE(shape_of(mapping("positions: rotary")).scaled_rotary);
}

TEST_CASE("A model's mistakes are told at their place") {
  CHECK(shape_error("{layers: 2, hidden: 64, heads: 4}").find("missing key 'vocabulary'") != std::string::npos);
  CHECK(shape_error("{name: llama-3.1-8b, nam: 3}").find("unknown key 'nam'") != std::string::npos);
  CHECK(shape_error(mapping("hiden: 3")).find("did you mean 'hidden'") != std::string::npos);
  CHECK(shape_error(mapping("moe: {experts: 8, topk: 2}")).find("did you mean 'top_k'") != std::string::npos);
  CHECK(shape_error(mapping("moe: {experts: 8, top_k: 9}")).find("9 experts a token of 8") != std::string::npos);
  CHECK(shape_error(mapping("kv_heads: 5")).find("5 heads of keys and values") != std::string::npos);
  CHECK(shape_error(mapping("norm: batch")).find("layer_norm, rms_norm") != std::string::npos);
  CHECK(shape_error(mapping("global_every: 2")).find("without a window") != std::string::npos);
  CHECK(shape_error(mapping("positions: rotary, max_positions: 9")).find("max_positions") != std::string::npos);
  CHECK(shape_error(mapping("scaled_rotary: true")).find("expected 'positions: rotary'") != std::string::npos);
  CHECK(shape_error(mapping("moe: {experts: 8, top_k: 2, first_dense_layers: 25}")).find("25 dense layers of 24") !=
        std::string::npos);
  CHECK(shape_error("{layers: 2, hidden: 64, heads: 7, vocabulary: 9}").find("7 heads do not divide 64") !=
        std::string::npos);
}

}  // namespace echelon
