// A model as an operator graph: a chain of layers, each an instance of one of a few block graphs.
//
// Layers of one kind share their block, so a model of 126 alike layers holds one graph of one layer, and whoever prices
// or splits it does so once. `expand()` unrolls the whole into one graph for those who want to see it.
// A block has one entry (the hidden state from the layer before) and one exit, but for those of graph models.
#pragma once

#include <boost/graph/adjacency_list.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/model/operator.h"

namespace echelon {

// A tensor between two operators: features of one token's row.
struct TensorEdge {
  double width = 0;
};

// Vertices are stored in a topological order: every edge goes from a lower index to a higher one.
using OperatorGraph = boost::adjacency_list<boost::vecS, boost::vecS, boost::bidirectionalS, Operator, TensorEdge>;

enum class BlockRole { embedding, layer, head };

struct Block {
  std::string name;  // "embedding", "dense", "moe", "mamba", "head", ...
  BlockRole role = BlockRole::layer;
  OperatorGraph graph;
  double entry = 0;  // graph models: elements of a sample that the block reads of earlier layers and no layer between
                     // has read; 0 = a token's hidden state
};

// An embedding's table that an output projection uses too.
struct SharedTable {
  std::string owner;  // names of the two operators
  std::string user;
  std::size_t owner_layer = 0;
  std::size_t user_layer = 0;
  double elements = 0;
};

// What a model has that is no chain of transformer layers (sim/model/graph_model.h).
struct GraphFacts {
  OperatorGraph whole;           // every operator, in topological order
  std::vector<double> crossing;  // by layer: elements of a sample that are alive between it and the next
  std::vector<SharedTable> shared;
  bool divides = false;  // operators have shards beside the samples, for tensor parallelism
};

struct Model {
  std::string name;
  std::vector<Block> blocks;
  std::vector<std::int32_t> layers;  // indices into blocks of role `layer`, first to last
  std::int32_t embedding = -1;       // index of the embedding block; graph models have none
  std::int32_t head = -1;            // index of the block of final norm, output projection and loss; likewise
  std::int64_t hidden = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t vocabulary = 0;
  std::int64_t experts = 0;  // routed experts of a layer; 0 = none
  std::int64_t experts_per_token = 0;
  bool tied_embeddings = false;
  std::string source;               // where the shape came from: a file, a published table
  std::optional<GraphFacts> graph;  // of a graph model, whose tokens are samples and whose layers follow each other
};

// Trainable parameters of the whole model; tied tables count once.
double parameter_count(const Model& model);
// Parameters that one token meets: routed experts count with their share top_k / experts.
double active_parameter_count(const Model& model);
// Parameters of the input embedding and position tables (left out of "non-embedding" counts).
double embedding_parameter_count(const Model& model);
// What passes from layer `layer` to the next, in elements of a token.
double handed_on(const Model& model, std::size_t layer);
// Unrolls every layer into one graph: embedding, layers in order, head, joined exit to entry.
OperatorGraph expand(const Model& model);

}  // namespace echelon
