#include "sim/app/alignment.h"

#include "sim/model/transformer.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

std::vector<std::string> warnings_for(std::int64_t hidden, std::int64_t heads, std::int64_t tensor,
                                      std::int64_t ffn = 0) {
  TransformerSpec spec;
  spec.layers = 2;
  spec.hidden = hidden;
  spec.heads = heads;
  spec.ffn = ffn;
  spec.vocabulary = 51200;
  Workload workload;
  workload.sequence_length = 2048;
  workload.global_batch = 8;
  Strategy strategy = framework_defaults(FrameworkKind::megatron);
  strategy.mesh.tensor = tensor;
  const auto lowered = lower(build_transformer(spec), workload, strategy, {tensor, 8});
  REQUIRE(std::holds_alternative<Lowering>(lowered));
  return alignment_warnings(std::get<Lowering>(lowered));
}

}  // namespace

TEST_CASE("sizes that tensor cores load whole are not warned of") {
  CHECK(warnings_for(14336, 112, 4).empty());
}

TEST_CASE("a head size that is no multiple of eight is warned of") {
  // 14400 features over 96 heads, as in the first runs of the BLOOM chronicles: a third slower than 13824 over 64.
  const std::vector<std::string> warnings = warnings_for(14400, 96, 8);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0] ==
        "the head size of attention is 150, no multiple of 8: its products leave the fast path of tensor cores, which "
        "is not priced; 152 would fit");
}

TEST_CASE("widths are looked at after they are divided over ranks") {
  CHECK(warnings_for(1024, 16, 1, 2744).empty());
  CHECK(warnings_for(1024, 16, 2, 2744).size() == 2);  // 1372 inner features come out of one product and enter another
}
