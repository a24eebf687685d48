#include "sim/config/graph_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <optional>
#include <utility>

#include "sim/config/graph_keys.h"
#include "sim/model/graph_model.h"

namespace echelon {

namespace {

using Tensor = GraphBuilder::Tensor;

constexpr std::size_t most_operators = 10'000;
constexpr std::size_t most_nesting = 32;

// Names that a list of layers knows, those of the list around it included.
struct Scope {
  const Scope* around = nullptr;
  const GraphParameters* parameters = nullptr;
  std::map<std::string, Tensor> names;
  Tensor before = 0;  // what an entry without `inputs` reads
  std::size_t depth = 0;
  std::size_t count = 0;  // of entries so far

  const Tensor* find(const std::string& name) const {
    const auto found = names.find(name);
    if (found != names.end()) return &found->second;
    return around != nullptr ? around->find(name) : nullptr;
  }

  void list_names(std::vector<std::string>& into) const {
    for (const auto& [name, tensor] : names) into.push_back(name);
    if (around != nullptr) around->list_names(into);
  }
};

struct GraphBlock {
  std::vector<std::string> parameters;
  std::vector<std::string> inputs = {"input"};
  std::optional<Value> layers;
};

void read_names(const Value& value, std::vector<std::string>& names) {
  names.clear();
  for (const Value& item : value.items()) names.push_back(item.text());
}

const std::vector<Key<GraphBlock>>& block_keys() {
  static const std::vector<Key<GraphBlock>> keys = {
      {{"parameters", list_type(text_type()), "numbers that a user of the block gives by these names"},
       [](const Value& value, GraphBlock& block) { read_names(value, block.parameters); }},
      {{"inputs", list_type(text_type()), "names of what it reads (default: input)"},
       [](const Value& value, GraphBlock& block) {
         read_names(value, block.inputs);
         if (block.inputs.empty()) value.fail("a block without inputs", "expected at least one name");
       }},
      {{"layers", list_type(R"({"$ref":"#/$defs/layer"})"), "what it is made of", Presence::required},
       [](const Value& value, GraphBlock& block) { block.layers = value; }},
  };
  return keys;
}

// An entry of a list: an operator, a use of a block, or a list of its own.
struct ReadEntry {
  std::string title;  // for one without a name
  GraphEntry common;
  const GraphBlock* block = nullptr;
  GraphParameters arguments;    // of the block
  std::optional<Value> layers;  // of the block or of the list
};

// Walks the lists of layers and adds their operators to a builder.
class GraphReader {
 public:
  Model read(const Value& document);

 private:
  void read_input(const Value& value);
  void read_blocks(const Value& value);
  Tensor read_list(const Value& layers, Scope& scope);
  ReadEntry read_entry(const Value& item, const GraphParameters& parameters) const;
  void read_block_use(const Value& item, const GraphParameters& parameters, ReadEntry& entry) const;
  std::vector<Tensor> inputs_of(const Value& item, const ReadEntry& entry, const Scope& scope) const;
  Tensor add(const Value& item, const ReadEntry& entry, const Scope& scope, const std::vector<Tensor>& inputs);
  Tensor add_operator(const Value& item, const GraphEntry& entry, const std::vector<Tensor>& inputs);
  Tensor add_one(const Value& item, const GraphOperator& op, const std::vector<Tensor>& inputs);

  GraphBuilder builder_;
  std::map<std::string, GraphBlock> blocks_;
  GraphParameters no_parameters_;
  Scope top_;
  std::size_t operators_ = 0;
};

struct GraphDocument {
  std::string name;
  std::string source;
  std::optional<Value> input;
  std::optional<Value> blocks;
  std::optional<Value> layers;
};

std::string input_type() {
  return any_of({shape_type(), fmt::format(R"({{"type":"object","additionalProperties":{}}})", shape_type())});
}

const std::vector<Key<GraphDocument>>& document_keys() {
  static const std::vector<Key<GraphDocument>> keys = {
      {{"echelon", R"({"const":1})", "version of this document's schema, in a file of its own"},
       [](const Value& value, GraphDocument&) { value.integer(1, 1); }},
      text_key<GraphDocument>("name", &GraphDocument::name, "name for reports"),
      text_key<GraphDocument>("source", &GraphDocument::source, "where the shape was published"),
      {{"input", input_type(), "shape of one sample, or several inputs by name", Presence::required},
       [](const Value& value, GraphDocument& document) { document.input = value; }},
      {{"blocks", fmt::format(R"({{"type":"object","additionalProperties":{}}})", object_type_of(block_keys())),
        "parts that occur several times, by name"},
       [](const Value& value, GraphDocument& document) { document.blocks = value; }},
      {{"layers", list_type(R"({"$ref":"#/$defs/layer"})"), "what the model is made of", Presence::required},
       [](const Value& value, GraphDocument& document) { document.layers = value; }},
  };
  return keys;
}

Model GraphReader::read(const Value& value) {
  GraphDocument document;
  read_keys(value, document_keys(), document);
  top_.parameters = &no_parameters_;
  read_input(*document.input);
  if (document.blocks) read_blocks(*document.blocks);
  read_list(*document.layers, top_);
  if (builder_.empty()) document.layers->fail("a model without operators", "expected at least one");
  return builder_.finish(document.name, document.source.empty() ? value.where().file : document.source);
}

void GraphReader::read_input(const Value& value) {
  if (!value.is_mapping()) {
    top_.names["input"] = top_.before = builder_.add_input(shape_from(value, no_parameters_));
    return;
  }
  if (value.keys().empty()) value.fail("no inputs", "expected names with shapes");
  for (const std::string& name : value.keys())
    top_.names[name] = builder_.add_input(shape_from(value.at(name), no_parameters_));
  top_.before = top_.names[value.keys().front()];
}

void GraphReader::read_blocks(const Value& value) {
  for (const std::string& name : value.keys()) read_keys(value.at(name), block_keys(), blocks_[name]);
}

// The output of the last entry.
Tensor GraphReader::read_list(const Value& layers, Scope& scope) {
  if (scope.depth > most_nesting)
    layers.fail(fmt::format("lists of layers lie {} deep", scope.depth), "expected no block that contains itself");
  const std::vector<Value> items = layers.items();
  if (items.empty()) layers.fail(layers.path() + " is empty", "expected at least one entry");
  for (const Value& item : items) {
    ReadEntry entry = read_entry(item, *scope.parameters);
    std::string& name = entry.common.op.name;
    const bool named = !name.empty();
    if (!named) name = fmt::format("{}_{}", entry.title, scope.count);
    ++scope.count;
    std::vector<Tensor> inputs = inputs_of(item, entry, scope);
    for (std::int64_t i = 0; i < entry.common.repeat; ++i) {
      if (scope.depth == 0) builder_.begin_layer(name);
      inputs.front() = scope.before = add(item, entry, scope, inputs);
    }
    if (named && !scope.names.emplace(name, scope.before).second)
      item.at("name").fail(fmt::format("a second '{:.40}'", name), "expected another name");
  }
  return scope.before;
}

ReadEntry GraphReader::read_entry(const Value& item, const GraphParameters& parameters) const {
  ReadEntry entry;
  entry.common.parameters = &parameters;
  if (const auto op = item.find("op")) {
    entry.title = op->text();
    entry.common.op.op = op->one_of<GraphOp>();
    read_keys(item, operator_keys(entry.common.op.op), entry.common);
  } else if (item.find("block")) {
    read_block_use(item, parameters, entry);
  } else if (item.find("layers")) {
    entry.title = "layers";
    auto keys = entry_keys();
    keys.push_back({{"layers", "{}", "a list of its own", Presence::required},
                    [&entry](const Value& value, GraphEntry&) { entry.layers = value; }});
    read_keys(item, keys, entry.common);
  } else {
    item.fail("an entry without 'op', 'block' or 'layers'", "expected one of them, such as 'op: dense'");
  }
  return entry;
}

void GraphReader::read_block_use(const Value& item, const GraphParameters& parameters, ReadEntry& entry) const {
  const Value name = item.at("block");
  const auto found = blocks_.find(name.text());
  if (found == blocks_.end()) {
    std::vector<std::string> names;
    for (const auto& [known, block] : blocks_) names.push_back(known);
    const auto near = nearest(name.text(), names);
    name.fail(fmt::format("there is no block '{:.40}'", name.text()),
              near ? fmt::format("did you mean '{}'?", *near)
                   : fmt::format("expected one of 'blocks': {}", fmt::join(names, ", ")));
  }
  entry.title = found->first;
  entry.block = &found->second;
  entry.layers = found->second.layers;
  auto keys = entry_keys();
  keys.push_back({{"block", text_type(), "a block's name", Presence::required}, [](const Value&, GraphEntry&) {}});
  for (const std::string& parameter : found->second.parameters)
    keys.push_back({{parameter, size_type(0, most_size), "a parameter of the block", Presence::required},
                    [&entry, &parameters, parameter](const Value& value, GraphEntry&) {
                      entry.arguments[parameter] = size_from(value, parameters, 0, most_size);
                    }});
  read_keys(item, keys, entry.common);
}

std::vector<Tensor> GraphReader::inputs_of(const Value& item, const ReadEntry& entry, const Scope& scope) const {
  std::vector<Tensor> inputs;
  for (const std::string& name : entry.common.inputs) {
    if (const Tensor* tensor = scope.find(name)) {
      inputs.push_back(*tensor);
      continue;
    }
    std::vector<std::string> names;
    scope.list_names(names);
    const auto near = nearest(name, names);
    item.at("inputs").fail(fmt::format("nothing before this is called '{:.40}'", name),
                           near ? fmt::format("did you mean '{}'?", *near)
                                : fmt::format("expected one of: {:.200}", fmt::format("{}", fmt::join(names, ", "))));
  }
  if (inputs.empty()) inputs.push_back(scope.before);
  const std::size_t wanted = entry.block != nullptr ? entry.block->inputs.size() : inputs.size();
  if (inputs.size() != wanted)
    item.fail(fmt::format("{} inputs for a block of {}", inputs.size(), wanted),
              fmt::format("expected {} names in 'inputs'", wanted));
  return inputs;
}

Tensor GraphReader::add(const Value& item, const ReadEntry& entry, const Scope& scope,
                        const std::vector<Tensor>& inputs) {
  if (!entry.layers) return add_operator(item, entry.common, inputs);
  Scope inner;
  inner.depth = scope.depth + 1;
  inner.before = inputs.front();
  if (entry.block != nullptr) {
    inner.parameters = &entry.arguments;
    for (std::size_t i = 0; i < inputs.size(); ++i) inner.names[entry.block->inputs[i]] = inputs[i];
  } else {
    inner.around = &scope;
    inner.parameters = scope.parameters;
    inner.names["input"] = inputs.front();
  }
  return read_list(*entry.layers, inner);
}

// How what stands behind an operator is divided: as its output lies, or by samples behind partial sums.
std::optional<Shard> shard_after(const GraphOperator& op) {
  return op.shard == Shard::reduction ? std::nullopt : op.shard;
}

// The operator, then the norm and the function that it asks for behind it.
Tensor GraphReader::add_operator(const Value& item, const GraphEntry& entry, const std::vector<Tensor>& inputs) {
  GraphOperator op = entry.op;
  if (op.op == GraphOp::pooling) {
    if (!op.global) item.at("kernel");  // which only a global one can do without
    if (!item.find("stride")) op.stride = op.kernel;
  }
  Tensor output = add_one(item, op, inputs);
  GraphOperator after;
  after.shard = shard_after(op);
  if (entry.norm_after) {
    after.op = GraphOp::norm;
    after.norm = *entry.norm_after;
    after.name = op.name + "_norm";
    output = add_one(item, after, {output});
  }
  if (entry.function_after) {
    after.op = GraphOp::elementwise;
    after.function = *entry.function_after;
    after.name = fmt::format("{}_{}", op.name, name_of(*entry.function_after));
    output = add_one(item, after, {output});
  }
  return output;
}

Tensor GraphReader::add_one(const Value& item, const GraphOperator& op, const std::vector<Tensor>& inputs) {
  if (++operators_ > most_operators)
    item.fail(fmt::format("more than {} operators", most_operators), "expected fewer repetitions");
  const auto outcome = builder_.add(op, inputs);
  if (const auto* misfit = std::get_if<ShapeMisfit>(&outcome)) item.fail(misfit->wrong, misfit->right);
  return std::get<Tensor>(outcome);
}

}  // namespace

bool is_graph_model(const Value& value) {
  if (!value.is_mapping()) return false;
  const auto layers = value.find("layers");
  return layers && layers->is_sequence();
}

Model graph_model_from_yaml(const Value& value) {
  return GraphReader().read(value);
}

std::string graph_model_type() {
  return object_type_of(document_keys());
}

std::string graph_layer_type() {
  std::vector<std::string> types;
  for (const auto& op : enum_names<GraphOp>) types.push_back(object_type_of(operator_keys(op.value)));
  auto keys = entry_keys();
  keys.push_back({{"layers", list_type(R"({"$ref":"#/$defs/layer"})"), "a list of its own", Presence::required}, {}});
  types.push_back(object_type_of(keys));
  types.emplace_back(R"({"type":"object","required":["block"]})");
  return any_of(types);
}

}  // namespace echelon
