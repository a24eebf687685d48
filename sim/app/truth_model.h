// The model of a row of a truth table, from its shape columns or, where columns cannot say it, from a named
// configuration.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sim/app/truth_sources.h"
#include "sim/base/error.h"
#include "sim/interop/truth_table.h"
#include "sim/model/transformer.h"

namespace echelon {

// The shape of a model of scenarios/models by name ("deepseek-v3"); nothing where there is none.
using ShapeSource = std::function<std::optional<TransformerSpec>(const std::string& name)>;

// Mixtures of experts and latent attention are looked up by name and cut to the row's layers; all else is a dense
// transformer whose family (gated or GELU, norm, biases, positions, tied embeddings) follows from the model's name.
// What the row leaves blank and is taken from a table or derived goes into `assumptions`.
std::variant<TransformerSpec, Infeasible> shape_of(const TruthRow& row, const SourceConvention& convention,
                                                   const ShapeSource& shapes, std::vector<std::string>& assumptions);

}  // namespace echelon
