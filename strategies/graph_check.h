// What a model given as a graph of operators demands.
#pragma once

#include "sim/model/model.h"
#include "strategies/refusal.h"
#include "strategies/strategy.h"

namespace echelon {

// What a graph of operators has no meaning for: its operators have no heads, tokens or experts to divide by name, and
// lists of a transformer layer's operators.
Refusal check_graph(const Model& model, const Strategy& strategy);

// Every stage takes a layer at least: there is no embedding or head beside them.
Refusal check_graph_stages(const Model& model, const Strategy& strategy);

// Which tables two operators of different stages may share. The layers can be laid on the stages.
Refusal check_graph_tables(const Model& model, const Strategy& strategy);

}  // namespace echelon
