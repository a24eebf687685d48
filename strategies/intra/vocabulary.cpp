#include "strategies/intra/intra.h"

namespace echelon {

namespace {

// One of `ranks` shares of the table's rows: every token is looked up on every rank, which has it or adds nothing, so
// that only the table is smaller.
void divide(Operator& op, double ranks) {
  op.parameters /= ranks;
  if (op.kind == OperatorKind::embedding) {
    op.in_features /= ranks;
    return;
  }
  op.width /= ranks;
  if (op.kind == OperatorKind::linear) op.out_features /= ranks;
}

}  // namespace

LayerProgram take_vocabulary_share(LayerProgram& program, std::int64_t ranks) {
  LayerProgram share;
  share.kernels = program.kernels;
  std::vector<Step> rest;
  for (Step& step : program.steps) {
    Operator* op = std::get_if<Operator>(&step);
    const bool stays = op != nullptr && op->split != TensorSplit::vocabulary;
    if (op != nullptr && !stays) divide(*op, static_cast<double>(ranks));
    (stays ? rest : share.steps).push_back(std::move(step));
  }
  program.steps = std::move(rest);
  return share;
}

}  // namespace echelon
