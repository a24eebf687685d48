// A model put together operator by operator: any directed graph without cycles, such as a convolutional network.
//
// Order of calls: add_input for each input, then (begin_layer, add...)*, then finish once. Operators stand in the order
// in which they are added, which is topological since inputs must be there already. Consecutive ones form layers: what
// pipeline stages are cut from, what FSDP gathers and what full recompute runs again.
// A sample is the model's token: workloads have sequence_length 1, and operators count their positions themselves.
// A tensor that several operators keep for the backward pass counts with the first that keeps it as an input.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "sim/model/graph_operator.h"
#include "sim/model/model.h"

namespace echelon {

class GraphBuilder {
 public:
  using Tensor = std::size_t;

  Tensor add_input(const Shape& shape);

  // Operators that are added from here on belong to a new layer. Layers without operators vanish.
  void begin_layer(const std::string& name);

  // Adds an operator, and attention's projections with it. Returns its output, or why it cannot be.
  std::variant<Tensor, ShapeMisfit> add(const GraphOperator& op, const std::vector<Tensor>& inputs);

  const Shape& shape(Tensor tensor) const { return tensors_[tensor].shape; }

  // Whether there are operators.
  bool empty() const { return num_vertices(whole_) == 0; }

  // The model of all that was added; layers that are equal share their block.
  Model finish(const std::string& name, const std::string& source);

 private:
  using Vertex = boost::graph_traits<OperatorGraph>::vertex_descriptor;

  // What lies in memory: an operator's output or an input. A reshape is another Tensor of the same storage.
  struct StoredTensor {
    Shape shape;
    std::size_t storage = 0;
  };
  struct Storage {
    double elements = 0;
    bool is_input = false;
    Vertex producer = 0;
    Shard laid = Shard::sample;  // over a tensor group
    std::vector<Vertex> readers;
  };
  struct LayerStart {
    std::string name;
    Vertex first = 0;
  };

  std::variant<Tensor, ShapeMisfit> add_projected_attention(const GraphOperator& op, const std::vector<Tensor>& inputs);
  std::optional<ShapeMisfit> refuse_layout(const GraphOperator& op, const std::vector<Tensor>& inputs) const;
  Tensor append(const GraphOperator& op, const std::vector<Tensor>& inputs, const Shape& output);
  std::optional<ShapeMisfit> refuse_table(const GraphOperator& op, const std::vector<Shape>& inputs) const;
  std::optional<Vertex> owner_of_table(double rows, double features) const;
  std::vector<SharedTable> shared_tables() const;
  void attribute_kept_tensors();
  std::size_t layer_of(Vertex vertex) const;
  std::vector<double> crossing() const;
  std::vector<double> entries() const;
  Block block_of(std::size_t layer, double entry) const;

  OperatorGraph whole_;
  std::vector<StoredTensor> tensors_;
  std::vector<Storage> storages_;
  std::vector<KeptTensors> kept_;  // by vertex
  std::vector<LayerStart> layers_;
  std::vector<Vertex> tied_;  // that use a table
  bool divides_ = false;
};

}  // namespace echelon
