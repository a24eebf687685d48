#include "sim/app/alignment.h"

#include <fmt/format.h>

#include <cmath>

namespace echelon {

namespace {

// Elements of 16 bits, the narrowest that most models compute in: what fills the 16 bytes that tensor cores load at
// once (NVIDIA, Matrix Multiplication Background User's Guide, "Tensor Core Requirements").
constexpr double multiple = 8;

bool fits(double size) {
  return size < multiple || std::fmod(size, multiple) == 0;
}

double next(double size) {
  return std::ceil(size / multiple) * multiple;
}

std::string sentence(const std::string& what, double size) {
  return fmt::format(
      "{} is {:.0f}, no multiple of {:.0f}: its products leave the fast path of tensor cores, which is not priced; "
      "{:.0f} "
      "would fit",
      what, size, multiple, next(size));
}

}  // namespace

std::vector<std::string> alignment_warnings(const Lowering& lowering) {
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& what, double size) {
    if (fits(size)) return;
    std::string text = sentence(what, size);
    for (const std::string& said : warnings)
      if (said == text) return;
    warnings.push_back(std::move(text));
  };
  for (const LayerProgram& block : lowering.blocks)
    for (const Step& step : block.steps) {
      const Operator* op = std::get_if<Operator>(&step);
      if (op == nullptr) continue;
      if (op->kind == OperatorKind::attention && !op->tensors)
        warn("the head size of " + op->name, static_cast<double>(op->attention.qk_head_dim));
      if (op->kind == OperatorKind::linear && op->name != "output_projection") {
        warn("the input of " + op->name + " on a rank", op->in_features);
        warn("the output of " + op->name + " on a rank", op->out_features);
      }
    }
  return warnings;
}

}  // namespace echelon
