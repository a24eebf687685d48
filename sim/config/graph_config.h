// A graph model in YAML: scenarios/models/NAME.yaml, or a scenario's `model` in place. What tells it from a transformer
// is that `layers` is a list. scenarios/schema/model.schema.json.
//
//   name: VGG-16
//   source: "arXiv:1409.1556, table 1, column D"
//   input: [3, 224, 224]                 # of one sample; or names with shapes: {tokens: [512], image: [3, 224, 224]}
//   blocks:                              # optional: parts that occur several times
//     pair: {parameters: [width], inputs: [left, right], layers: [...]}     # inputs: default [input]
//   layers:
//     - {op: convolution, channels: 64, kernel: 3, padding: 1, function: relu, name: first}
//     - {block: pair, width: 128, inputs: [first, input]}
//     - {layers: [...], repeat: 3}
//
// Each entry of the outermost list is one layer, each of its repetitions too. An entry reads the one before unless it
// has `inputs`; the last entry of a list is its output. Inside a list names of the lists around it are known; a block
// knows its inputs and parameters alone ("$width" is the number that its user gave).
#pragma once

#include "sim/config/document.h"
#include "sim/model/model.h"

namespace echelon {

// Whether the mapping describes a graph model.
bool is_graph_model(const Value& value);

// Reads the mapping and infers all shapes. Throws InputError for what does not go together, where it stands.
Model graph_model_from_yaml(const Value& value);

// JSON Schema of the mapping, in JSON text; refers to "#/$defs/layer", which is graph_layer_type().
std::string graph_model_type();
std::string graph_layer_type();

}  // namespace echelon
