#include "sim/model/graph_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/base/error.h"

namespace echelon {

namespace {

// Same operators, joined alike.
bool equal(const Block& a, const Block& b) {
  if (a.entry != b.entry || num_vertices(a.graph) != num_vertices(b.graph) || num_edges(a.graph) != num_edges(b.graph))
    return false;
  for (const auto vertex : boost::make_iterator_range(vertices(a.graph)))
    if (!(a.graph[vertex] == b.graph[vertex])) return false;
  for (const auto edge : boost::make_iterator_range(edges(a.graph)))
    if (!boost::edge(source(edge, a.graph), target(edge, a.graph), b.graph).second) return false;
  return true;
}

}  // namespace

GraphBuilder::Tensor GraphBuilder::add_input(const Shape& shape) {
  storages_.push_back({element_count(shape), true, 0, Shard::sample, {}});
  tensors_.push_back({shape, storages_.size() - 1});
  return tensors_.size() - 1;
}

void GraphBuilder::begin_layer(const std::string& name) {
  if (!layers_.empty() && layers_.back().first == num_vertices(whole_)) layers_.pop_back();
  layers_.push_back({name, num_vertices(whole_)});
}

std::variant<GraphBuilder::Tensor, ShapeMisfit> GraphBuilder::add(const GraphOperator& op,
                                                                  const std::vector<Tensor>& inputs) {
  if (op.op == GraphOp::attention && op.projections) return add_projected_attention(op, inputs);
  std::vector<Shape> shapes;
  for (const Tensor input : inputs) shapes.push_back(shape(input));
  auto output = output_shape(op, shapes);
  if (auto* misfit = std::get_if<ShapeMisfit>(&output)) return std::move(*misfit);
  if (auto misfit = refuse_layout(op, inputs)) return *misfit;
  if (auto misfit = refuse_table(op, shapes)) return *misfit;
  const auto divided = divided_size(op, shapes, std::get<Shape>(output));
  if (const auto* misfit = std::get_if<ShapeMisfit>(&divided)) return *misfit;
  if (op.op != GraphOp::reshape) return append(op, inputs, std::get<Shape>(output));
  tensors_.push_back({std::get<Shape>(output), tensors_[inputs.front()].storage});
  return tensors_.size() - 1;
}

// A height has no meaning in another shape.
std::optional<ShapeMisfit> GraphBuilder::refuse_layout(const GraphOperator& op,
                                                       const std::vector<Tensor>& inputs) const {
  if (op.op != GraphOp::reshape || storages_[tensors_[inputs.front()].storage].laid != Shard::attribute)
    return std::nullopt;
  return ShapeMisfit{"a reshape of what is divided by attribute", "expected an operator with another shard before it"};
}

std::optional<GraphBuilder::Vertex> GraphBuilder::owner_of_table(double rows, double features) const {
  for (const Vertex vertex : boost::make_iterator_range(vertices(whole_))) {
    const Operator& op = whole_[vertex];
    if (op.kind == OperatorKind::embedding && op.in_features == rows && op.out_features == features) return vertex;
  }
  return std::nullopt;
}

// An output projection that is tied takes the first embedding's table that has its shape.
std::optional<ShapeMisfit> GraphBuilder::refuse_table(const GraphOperator& op, const std::vector<Shape>& inputs) const {
  if (!op.tied || inputs.empty() || inputs.front().empty()) return std::nullopt;
  const std::int64_t features = inputs.front().back();
  if (owner_of_table(static_cast<double>(op.features), static_cast<double>(features))) return std::nullopt;
  return ShapeMisfit{"a tied product without its table",
                     fmt::format("expected an embedding of {} rows of {} features before it", op.features, features)};
}

std::vector<SharedTable> GraphBuilder::shared_tables() const {
  std::vector<SharedTable> tables;
  for (const Vertex user : tied_) {
    const Operator& op = whole_[user];
    const auto owner = owner_of_table(op.out_features, op.in_features);
    SIM_CHECK(owner.has_value(), "no table for {}", op.name);
    tables.push_back(
        {whole_[*owner].name, op.name, layer_of(*owner), layer_of(user), op.in_features * op.out_features});
  }
  return tables;
}

GraphBuilder::Tensor GraphBuilder::append(const GraphOperator& op, const std::vector<Tensor>& inputs,
                                          const Shape& output) {
  std::vector<Shape> shapes;
  for (const Tensor input : inputs) shapes.push_back(shape(input));
  Operator made = operator_of(op, shapes, output);
  made.reads_data = std::all_of(inputs.begin(), inputs.end(),
                                [&](Tensor input) { return storages_[tensors_[input].storage].is_input; });
  GraphTensors tensors;
  tensors.output = element_count(output);
  tensors.shard = op.shard.value_or(Shard::sample);
  tensors.divided = std::get<std::int64_t>(divided_size(op, shapes, output));
  tensors.halo = halo_elements(op, shapes.front());
  for (const Tensor input : inputs)
    if (const Storage& storage = storages_[tensors_[input].storage]; !storage.is_input)
      tensors.inputs.push_back({storage.laid, storage.elements});
  made.tensors = tensors;
  divides_ = divides_ || tensors.shard != Shard::sample;
  const Vertex vertex = add_vertex(made, whole_);
  if (op.tied) tied_.push_back(vertex);
  for (const Tensor input : inputs) {
    Storage& storage = storages_[tensors_[input].storage];
    storage.readers.push_back(vertex);
    if (!storage.is_input) add_edge(storage.producer, vertex, TensorEdge{storage.elements}, whole_);
  }
  KeptTensors kept = kept_tensors(op);
  if (op.op == GraphOp::custom) kept.extra_bytes = Bytes(op.kept_bytes / element_count(output));
  kept_.push_back(kept);
  storages_.push_back({element_count(output), false, vertex, tensors.shard, {}});
  tensors_.push_back({output, storages_.size() - 1});
  return tensors_.size() - 1;
}

// Self-attention projects queries, keys and values in one product; attention over another tensor projects queries, then
// keys and values (arXiv:1706.03762, section 3.2.2).
std::variant<GraphBuilder::Tensor, ShapeMisfit> GraphBuilder::add_projected_attention(
    const GraphOperator& op, const std::vector<Tensor>& inputs) {
  const Shape& input = shape(inputs.front());
  if (input.size() != 2) return ShapeMisfit{"attention reads " + to_text(input), "expected [positions, features]"};
  const std::int64_t width = op.features > 0 ? op.features : input[1];
  const std::int64_t outer = input[1];
  const auto project = [&](const std::string& part, std::int64_t features, Tensor from) {
    GraphOperator dense;
    if (op.shard == Shard::parameter) dense.shard = part == "output" ? Shard::reduction : Shard::parameter;
    dense.name = op.name + "_" + part;
    dense.bias = op.bias;
    dense.features = features;
    return add(dense, {from});
  };
  std::vector<Tensor> projected;
  if (inputs.size() == 1) {
    projected.push_back(std::get<Tensor>(project("qkv", 3 * width, inputs[0])));
  } else {
    projected.push_back(std::get<Tensor>(project("query", width, inputs[0])));
    for (std::size_t i = 1; i < inputs.size(); ++i) {
      const auto memory = project("key_value", 2 * width, inputs[i]);
      if (const auto* misfit = std::get_if<ShapeMisfit>(&memory)) return *misfit;
      projected.push_back(std::get<Tensor>(memory));
    }
  }
  GraphOperator core = op;
  core.projections = false;
  auto attended = add(core, projected);
  if (std::holds_alternative<ShapeMisfit>(attended)) return attended;
  return project("output", outer, std::get<Tensor>(attended));
}

std::size_t GraphBuilder::layer_of(Vertex vertex) const {
  const auto after = std::upper_bound(layers_.begin(), layers_.end(), vertex,
                                      [](Vertex at, const LayerStart& layer) { return at < layer.first; });
  return static_cast<std::size_t>(after - layers_.begin()) - 1;
}

void GraphBuilder::attribute_kept_tensors() {
  for (const Storage& storage : storages_) {
    const auto keeper = std::find_if(storage.readers.begin(), storage.readers.end(),
                                     [&](Vertex reader) { return kept_[reader].inputs; });
    if (keeper != storage.readers.end())
      whole_[*keeper].tensors->kept += storage.elements;
    else if (!storage.is_input && kept_[storage.producer].output)
      whole_[storage.producer].tensors->kept += storage.elements;
    if (storage.is_input) continue;
    GraphTensors& tensors = *whole_[storage.producer].tensors;
    tensors.kept += kept_[storage.producer].extra_elements * storage.elements;
    tensors.kept_bytes += kept_[storage.producer].extra_bytes * storage.elements;
  }
}

// A tensor crosses every boundary between its producer's layer and its last reader's; inputs are loaded where they are
// read.
std::vector<double> GraphBuilder::crossing() const {
  std::vector<double> elements(layers_.size(), 0);
  for (const Storage& storage : storages_) {
    if (storage.is_input || storage.readers.empty()) continue;
    const std::size_t last = layer_of(storage.readers.back());
    for (std::size_t layer = layer_of(storage.producer); layer < last; ++layer) elements[layer] += storage.elements;
  }
  return elements;
}

// By layer: what it is the first to read of earlier ones and of the inputs.
std::vector<double> GraphBuilder::entries() const {
  std::vector<double> elements(layers_.size(), 0);
  for (const Storage& storage : storages_) {
    const auto reader = std::find_if(storage.readers.begin(), storage.readers.end(), [&](Vertex vertex) {
      return storage.is_input || layer_of(vertex) != layer_of(storage.producer);
    });
    if (reader != storage.readers.end()) elements[layer_of(*reader)] += storage.elements;
  }
  return elements;
}

Block GraphBuilder::block_of(std::size_t layer, double entry) const {
  const Vertex first = layers_[layer].first;
  const Vertex end = layer + 1 < layers_.size() ? layers_[layer + 1].first : num_vertices(whole_);
  Block block{layers_[layer].name, BlockRole::layer, {}, entry};
  for (Vertex vertex = first; vertex < end; ++vertex) add_vertex(whole_[vertex], block.graph);
  for (Vertex vertex = first; vertex < end; ++vertex)
    for (const auto edge : boost::make_iterator_range(in_edges(vertex, whole_)))
      if (source(edge, whole_) >= first)
        add_edge(source(edge, whole_) - first, vertex - first, whole_[edge], block.graph);
  return block;
}

Model GraphBuilder::finish(const std::string& name, const std::string& source) {
  SIM_CHECK(!empty(), "a model without operators");
  begin_layer("");
  layers_.pop_back();
  attribute_kept_tensors();
  const std::vector<double> entry = entries();
  Model model;
  model.name = name;
  model.source = source;
  for (std::size_t layer = 0; layer < layers_.size(); ++layer) {
    Block block = block_of(layer, entry[layer]);
    const auto known =
        std::find_if(model.blocks.begin(), model.blocks.end(), [&](const Block& other) { return equal(other, block); });
    model.layers.push_back(static_cast<std::int32_t>(known - model.blocks.begin()));
    if (known == model.blocks.end()) model.blocks.push_back(std::move(block));
  }
  model.graph = GraphFacts{whole_, crossing(), shared_tables(), divides_};
  return model;
}

}  // namespace echelon
