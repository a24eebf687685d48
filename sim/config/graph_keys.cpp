#include "sim/config/graph_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace echelon {

namespace {

constexpr std::int64_t most_window = 10'000;  // of kernels, strides and paddings
constexpr double most_work = 1e18;            // FLOPs, bytes and parameters of one operator and sample

using Keys = std::vector<Key<GraphEntry>>;

template <class Member>
Key<GraphEntry> size_key(std::string name, std::int64_t least, std::int64_t most, Member member, std::string meaning,
                         Presence presence = Presence::optional) {
  return {{std::move(name), size_type(least, most), std::move(meaning), presence},
          [=](const Value& value, GraphEntry& entry) {
            entry.op.*member = size_from(value, *entry.parameters, least, most);
          }};
}

Key<GraphEntry> flag_key(std::string name, bool GraphOperator::*member, std::string meaning) {
  return boolean_key<GraphEntry>(
      std::move(name), [member](GraphEntry& entry) -> bool& { return entry.op.*member; }, std::move(meaning));
}

template <class E>
Key<GraphEntry> choice_key(std::string name, E GraphOperator::*member, std::string meaning,
                           Presence presence = Presence::optional) {
  return enum_key<E, GraphEntry>(
      std::move(name), [member](GraphEntry& entry) -> E& { return entry.op.*member; }, std::move(meaning), presence);
}

// One number for both directions, or [height, width].
Extent extent_from(const Value& value, const GraphParameters& parameters, std::int64_t least) {
  if (!value.is_sequence()) {
    const std::int64_t size = size_from(value, parameters, least, most_window);
    return {size, size};
  }
  const auto items = value.items();
  if (items.size() != 2) value.fail(value.path() + " has not two sizes", "expected a number or [height, width]");
  return {size_from(items[0], parameters, least, most_window), size_from(items[1], parameters, least, most_window)};
}

Key<GraphEntry> extent_key(std::string name, Extent GraphOperator::*member, std::int64_t least, std::string meaning,
                           Presence presence = Presence::optional) {
  const std::string size = size_type(least, most_window);
  return {
      {std::move(name), any_of({size, list_type(size)}), std::move(meaning), presence},
      [=](const Value& value, GraphEntry& entry) { entry.op.*member = extent_from(value, *entry.parameters, least); }};
}

Keys window_keys(Presence kernel) {
  return {
      extent_key("kernel", &GraphOperator::kernel, 1, "positions of a window: a number or [height, width]", kernel),
      extent_key("stride", &GraphOperator::stride, 1, "from window to window (default 1; pooling: the kernel)"),
      extent_key("padding", &GraphOperator::padding, 0, "positions added on each side (default 0)"),
  };
}

Keys after_keys() {
  return {
      {{"norm", enum_type<GraphNorm>(), "a norm behind it"},
       [](const Value& value, GraphEntry& entry) { entry.norm_after = value.one_of<GraphNorm>(); }},
      {{"function", enum_type<ElementFunction>(), "an elementwise function behind both"},
       [](const Value& value, GraphEntry& entry) { entry.function_after = value.one_of<ElementFunction>(); }},
  };
}

Key<GraphEntry> features_key(std::string meaning, Presence presence = Presence::required) {
  return size_key("features", 1, most_size, &GraphOperator::features, std::move(meaning), presence);
}

Key<GraphEntry> bias_key() {
  return flag_key("bias", &GraphOperator::bias, "has biases (default true)");
}

Keys joined(Keys first, const Keys& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

Keys convolution_keys() {
  const Keys own = {
      size_key("channels", 1, most_size, &GraphOperator::channels, "channels of the output", Presence::required),
      size_key("groups", 1, most_size, &GraphOperator::groups, "groups of channels that do not meet (default 1)"),
      bias_key(),
  };
  return joined(joined(own, window_keys(Presence::required)), after_keys());
}

Keys pooling_keys() {
  const Keys own = {
      choice_key("kind", &GraphOperator::pooling, "what is taken of a window", Presence::required),
      flag_key("global", &GraphOperator::global, "one window for all positions; leaves [channels] (default false)"),
      flag_key("rounds_up", &GraphOperator::rounds_up, "a window that hangs over the end counts (default false)"),
  };
  return joined(own, window_keys(Presence::optional));
}

Keys recurrent_keys() {
  return {
      features_key("features of the state, in each direction"),
      choice_key("cell", &GraphOperator::cell, "kind of cell", Presence::required),
      flag_key("bidirectional", &GraphOperator::bidirectional, "runs both ways, outputs side by side (default false)"),
      size_key("biases", 0, 2, &GraphOperator::biases, "bias vectors of each gate (default 2, as in cuDNN)"),
  };
}

Keys attention_keys() {
  return {
      size_key("heads", 1, most_size, &GraphOperator::heads, "heads", Presence::required),
      features_key("of all heads together (default: those of its input)", Presence::optional),
      flag_key("causal", &GraphOperator::causal, "positions see those before them alone (default false)"),
      flag_key("projections", &GraphOperator::projections,
               "products before and behind it (default true); without them it reads queries, keys and values side by "
               "side, or queries and another tensor"),
      bias_key(),
  };
}

Key<GraphEntry> work_key(std::string name, std::string meaning, double& (*access)(GraphOperator&)) {
  return number_key<GraphEntry>(
      std::move(name), 0, most_work, [access](GraphEntry& entry) -> double& { return access(entry.op); },
      std::move(meaning));
}

template <class Q>
Key<GraphEntry> quantity_key(std::string name, std::string meaning, Q& (*access)(GraphOperator&)) {
  return {{std::move(name), number_type(0, most_work), std::move(meaning)},
          [access](const Value& value, GraphEntry& entry) { access(entry.op) = Q(value.number(0, most_work)); }};
}

Keys custom_keys() {
  using Op = GraphOperator;
  return {
      {{"shape", shape_type(), "of its output (default: of its first input)"},
       [](const Value& value, GraphEntry& entry) { entry.op.shape = shape_from(value, *entry.parameters); }},
      work_key("parameters", "trainable elements (default 0)", [](Op& op) -> double& { return op.parameters; }),
      quantity_key<Flops>("forward_flops", "of one sample (default 0)",
                          [](Op& op) -> Flops& { return op.work.flops.forward; }),
      quantity_key<Flops>("backward_input_flops", "of one sample (default 0)",
                          [](Op& op) -> Flops& { return op.work.flops.backward_input; }),
      quantity_key<Flops>("backward_weight_flops", "of one sample (default 0)",
                          [](Op& op) -> Flops& { return op.work.flops.backward_weight; }),
      quantity_key<Bytes>("forward_bytes", "read and written in device memory for one sample (default 0)",
                          [](Op& op) -> Bytes& { return op.work.forward_bytes; }),
      quantity_key<Bytes>("backward_bytes", "likewise (default 0)",
                          [](Op& op) -> Bytes& { return op.work.backward_bytes; }),
      work_key("kept_bytes", "of one sample, from the forward to the backward pass (default 0)",
               [](Op& op) -> double& { return op.kept_bytes; }),
  };
}

Keys keys_of(GraphOp op) {
  switch (op) {
    case GraphOp::dense:
      return joined({features_key("of the output"), bias_key(),
                     flag_key("tied", &GraphOperator::tied, "uses the table of an embedding (default false)")},
                    after_keys());
    case GraphOp::convolution:
      return convolution_keys();
    case GraphOp::attention:
      return attention_keys();
    case GraphOp::recurrent:
      return recurrent_keys();
    case GraphOp::embedding:
      return {size_key("rows", 1, most_size, &GraphOperator::rows, "of the table", Presence::required),
              features_key("of a row"),
              flag_key("sum", &GraphOperator::sums, "adds up what it gathered of a sample (default false)")};
    case GraphOp::norm:
      return {choice_key("kind", &GraphOperator::norm, "over the batch, or over features", Presence::required),
              flag_key("affine", &GraphOperator::affine, "has weights (default true)")};
    case GraphOp::elementwise:
      return {choice_key("function", &GraphOperator::function, "what is done to each element", Presence::required)};
    case GraphOp::pooling:
      return pooling_keys();
    case GraphOp::reshape:
      return {{{"shape", shape_type(), "of as many elements (default: all in one row)"},
               [](const Value& value, GraphEntry& entry) { entry.op.shape = shape_from(value, *entry.parameters); }}};
    case GraphOp::custom:
      return custom_keys();
    case GraphOp::concat:
    case GraphOp::add:
    case GraphOp::cross_entropy:
      return {};
  }
  return {};
}

void read_inputs(const Value& value, GraphEntry& entry) {
  if (value.is_scalar()) {
    entry.inputs = {value.text()};
    return;
  }
  for (const Value& item : value.items()) entry.inputs.push_back(item.text());
  if (entry.inputs.empty()) value.fail("no inputs", "expected names, or no such key for the operator before");
}

}  // namespace

std::int64_t size_from(const Value& value, const GraphParameters& parameters, std::int64_t least, std::int64_t most) {
  if (!value.is_scalar() || value.is_null() || !value.text().starts_with('$')) return value.integer(least, most);
  const std::string name = value.text().substr(1);
  const auto found = parameters.find(name);
  if (found == parameters.end()) {
    std::vector<std::string> names;
    for (const auto& [known, size] : parameters) names.push_back(known);
    const auto near = nearest(name, names);
    value.fail(fmt::format("there is no parameter '{:.40}'", name),
               near ? fmt::format("did you mean '${}'?", *near) : "expected one of the block's 'parameters'");
  }
  if (found->second < least || found->second > most)
    value.fail(fmt::format("{} is {}", value.path(), found->second), fmt::format("expected {} to {}", least, most));
  return found->second;
}

std::string size_type(std::int64_t least, std::int64_t most) {
  return any_of({integer_type(least, most), R"({"type":"string","pattern":"^\\$"})"});
}

Shape shape_from(const Value& value, const GraphParameters& parameters) {
  Shape shape;
  for (const Value& item : value.items()) shape.push_back(size_from(item, parameters, 1, most_size));
  if (shape.empty() || shape.size() > 3)
    value.fail(fmt::format("a shape of {} dimensions", shape.size()),
               "expected [channels, height, width], [positions, features] or [features]");
  if (element_count(shape) > most_elements)
    value.fail("a tensor of more than 10^15 elements", "expected a smaller one");
  return shape;
}

std::string shape_type() {
  return list_type(size_type(1, most_size));
}

const std::vector<Key<GraphEntry>>& entry_keys() {
  static const Keys keys = {
      text_key<GraphEntry>(
          "name", [](GraphEntry& entry) -> std::string& { return entry.op.name; }, "what `inputs` of others call it"),
      {{"inputs", any_of({text_type(), list_type(text_type())}), "names of what it reads (default: the one before)"},
       read_inputs},
      integer_key<GraphEntry>("repeat", 1, most_repeats, &GraphEntry::repeat,
                              "so many in a row, each reading the one before in place of its first input (default 1)"),
  };
  return keys;
}

std::vector<Key<GraphEntry>> operator_keys(GraphOp op) {
  const Keys shard = {
      {{"shard", enum_type<Shard>(),
        "what tensor_parallel ranks divide: samples, height or positions (attribute), output channels with their "
        "weights (parameter), input channels with theirs (reduction); default sample"},
       [](const Value& value, GraphEntry& entry) { entry.op.shard = value.one_of<Shard>(); }},
  };
  const Keys keys = {{{"op", choice_type({std::string(name_of(op))}), "kind of operator", Presence::required},
                      [](const Value&, GraphEntry&) {}}};
  return joined(joined(joined(keys, entry_keys()), shard), keys_of(op));
}

}  // namespace echelon
