#include "sim/config/graph_config.h"

#include "sim/config/data_dir.h"
#include "tests/catch.h"
#include "tests/config/config_test.h"

namespace echelon {
namespace {

Model model_of(const std::string& text) {
  return graph_model_from_yaml(parse_text(text, "doc"));
}

std::string model_error(const std::string& text) {
  return test::error_of([&] { model_of(text); });
}

// A list of layers on a picture of 3 x 8 x 8; line 2 is the first layer.
std::string layers(const std::string& list) {
  return "{input: [3, 8, 8], layers: [\n" + list + "]}";
}

Model shipped(const std::string& name) {
  return named_model(name, {"test"}, test::stub_model);
}

// Multiply-adds of one sample's forward pass, in billions.
double giga_macs(const Model& model) {
  double sum = 0;
  const OperatorGraph graph = expand(model);
  for (const auto vertex : boost::make_iterator_range(vertices(graph)))
    sum += executed_flops(graph[vertex], 1, 1, AttentionKernel::flash).forward.value();
  return sum / 2e9;
}

}  // namespace

TEST_CASE("a list of layers is what tells a graph of operators from a transformer") {
  CHECK(is_graph_model(parse_text("{layers: [{op: add}]}", "doc")));
  CHECK_FALSE(is_graph_model(parse_text("{layers: 24}", "doc")));
}

TEST_CASE("an operator reads the one before unless it names its inputs") {
  const Model model =
      model_of(layers("{op: convolution, channels: 4, kernel: 1, name: left},"
                      "{op: convolution, channels: 5, kernel: 1, inputs: input, name: right},"
                      "{op: concat, inputs: [left, right]}, {op: pooling, kind: max, kernel: 2}, {op: reshape},"
                      "{op: dense, features: 10}"));
  // 4 + 5 channels of 4 x 4 positions enter the dense layer.
  CHECK(parameter_count(model) == (3 * 4 + 4) + (3 * 5 + 5) + (144 * 10 + 10));
  CHECK(model.layers.size() == 5);  // a reshape is no work
}

TEST_CASE("repetitions chain, and read what else they name anew each time") {
  const Model model = model_of(
      layers("{op: convolution, channels: 4, kernel: 1, name: first},"
             "{layers: [{op: add, inputs: [input, first]}, {op: convolution, channels: 4, kernel: 1}], repeat: 3}"));
  CHECK(model.layers.size() == 4);
  CHECK(parameter_count(model) == (3 * 4 + 4) + 3 * (4 * 4 + 4));
  // `first` stays alive to the last repetition, which adds it: beside each repetition's own output.
  CHECK(handed_on(model, 1) == 2 * 4.0 * 64);
}

TEST_CASE("blocks take numbers and inputs from their users") {
  const Model model = model_of(
      "{input: [3, 8, 8], blocks: {pair: {parameters: [width], inputs: [a, b], layers: ["
      "{op: convolution, channels: $width, kernel: 1, inputs: a, name: x},"
      "{op: convolution, channels: $width, kernel: 1, inputs: b, name: y}, {op: add, inputs: [x, y]}]}},"
      "layers: [{op: convolution, channels: 2, kernel: 1, name: one},"
      "{block: pair, width: 7, inputs: [one, input]}]}");
  CHECK(parameter_count(model) == (3 * 2 + 2) + (2 * 7 + 7) + (3 * 7 + 7));
}

TEST_CASE("norm and function stand behind a convolution") {
  const Model model =
      model_of(layers("{op: convolution, channels: 4, kernel: 3, norm: batch_norm, function: relu, bias: false}"));
  CHECK(num_vertices(model.graph->whole) == 3);
  CHECK(parameter_count(model) == 9 * 3 * 4 + 2 * 4);
}

TEST_CASE("mistakes are told where they stand") {
  const auto says = [](const std::string& text, const std::string& part) {
    CAPTURE(text);
    return model_error(text).find(part) != std::string::npos;
  };
  CHECK(says(layers("{op: convolutoin, channels: 4, kernel: 1}"),
             "doc:2:6: layers[0].op is 'convolutoin'; did you mean "
             "'convolution'?"));
  CHECK(says(layers("{op: convolution, chanels: 4, kernel: 1}"), "did you mean 'channels', which is missing?"));
  CHECK(model_error(layers("{op: convolution, channels: 4}")).find("kernel") != std::string::npos);
  CHECK(model_error(layers("{op: convolution, channels: 4, kernel: 9}")) ==
        "doc:2:1: a kernel of 9 x 9 does not fit into [3, 8, 8]; expected a smaller kernel or more padding");
  CHECK(model_error(layers("{op: dense, features: 4}")).find("doc:2:1: dense reads [3, 8, 8]; expected") == 0);
  CHECK(model_error(layers("{op: add, inputs: [input, inptu]}")) ==
        "doc:2:19: nothing before this is called 'inptu'; did you mean 'input'?");
  CHECK(model_error(layers("{op: pooling, kind: max}")).find("kernel") != std::string::npos);
  CHECK(model_error(layers("{name: x}")) ==
        "doc:2:1: an entry without 'op', 'block' or 'layers'; expected one of them, such as 'op: dense'");
  CHECK(model_error(layers("{block: x}")).find("there is no block 'x'") != std::string::npos);
  CHECK(model_error(layers("{op: convolution, channels: $c, kernel: 1}")).find("there is no parameter 'c'") !=
        std::string::npos);
  CHECK(model_error(layers("{op: reshape}")).find("a model without operators") != std::string::npos);
  CHECK(model_error(layers("{op: reshape, name: a}, {op: reshape, name: a}")).find("a second 'a'") !=
        std::string::npos);
  CHECK(model_error(layers("7")).find("doc:2:1") == 0);
  CHECK(model_error(layers("")).find("expected at least one entry") != std::string::npos);
}

TEST_CASE("blocks that contain themselves and endless repetitions end") {
  CHECK(model_error("{input: [3, 8, 8], blocks: {x: {layers: [{block: x}]}}, layers: [{block: x}]}")
            .find("expected no block that contains itself") != std::string::npos);
  CHECK(model_error(layers("{repeat: 10000, layers: [{repeat: 10000, op: elementwise, function: relu}]}"))
            .find("more than 10000 operators") != std::string::npos);
}

TEST_CASE("a graph's samples have a shape of their own") {
  const std::string rest =
      "cluster: {profile: dgx-h100, gpus: 1}\nstrategy: {micro_batch: 8}\nworkload: {global_batch: 8";
  const std::string head = "echelon: 1\nmodel: " + layers("{op: reshape}, {op: dense, features: 4}") + "\n" + rest;
  const Scenario scenario = test::scenario_of(head + "}\n");
  CHECK(scenario.workload.sequence_length == 1);
  CHECK(test::error_of([&] {
          test::scenario_of(head + ", sequence_length: 5}\n");
        }).find("sequence_length for a model whose samples have a shape") != std::string::npos);
}

// Parameters and multiply-adds of the forward pass, each published as its model's file says.
TEST_CASE("shipped networks have the published sizes") {
  CHECK(parameter_count(shipped("vgg-16")) == 138'357'544);  // torchvision, vgg16
  CHECK(giga_macs(shipped("vgg-16")) == Approx(15.47).margin(0.01));
  CHECK(parameter_count(shipped("resnet-50")) == 25'557'032);  // torchvision, resnet50
  CHECK(giga_macs(shipped("resnet-50")) == Approx(4.09).margin(0.005));
  CHECK(parameter_count(shipped("inception-v3")) == 27'161'264);  // torchvision, inception_v3
  // 5.71 without the auxiliary classifier, whose two convolutions and dense layer are 0.0057 more.
  CHECK(giga_macs(shipped("inception-v3")) == Approx(5.71 + 0.0057).margin(0.006));
  CHECK(parameter_count(shipped("bert-large")) == 336'226'108);                    // the checkpoint's
  CHECK(parameter_count(shipped("gnmt-8")) == 160'671'297);                        // tests written for MLPerf's GNMT
  CHECK(parameter_count(shipped("amoebanet-d")) / 1e6 == Approx(82).margin(0.5));  // GPipe, table 1
  CHECK(parameter_count(shipped("dlrm")) / 1e6 == Approx(540).margin(1));          // arXiv:1906.00091, section 5.1
}

// Sums that follow from the papers' formulas where none is published.
TEST_CASE("multiply-adds of BERT-large, GNMT-8 and DLRM by hand") {
  // Each of 24 layers: 12 h^2 weights on 512 tokens and two products of 512 x 512 x 1024; the masked-token head: h^2
  // and h * 30522 on 512 tokens; the sentence head: h^2 + 2 h on one.
  const double h = 1024;
  const double bert = 24 * (12 * h * h * 512 + 2 * 512 * 512 * h) + 512 * (h * h + 30522 * h) + h * h + 2 * h;
  CHECK(giga_macs(shipped("bert-large")) == Approx(bert / 1e9).epsilon(1e-12));
  // LSTM cells of 4 h (in + h) products at 50 positions: a pair of 1024 inputs, one of 2048, two of 1024; decoder: one
  // of 1024, three of 2048. Attention: two projections, 50 x 50 sums of 1024 at two multiply-adds and as many products;
  // the classifier.
  const double encoder = 2 * 4 * h * 2 * h + 4 * h * 3 * h + 2 * 4 * h * 2 * h;
  const double decoder = 4 * h * 2 * h + 3 * 4 * h * 3 * h;
  const double attention = 50 * 2 * h * h + 50 * 50 * h * 2 + 50 * 50 * h;
  CHECK(giga_macs(shipped("gnmt-8")) ==
        Approx((50 * (encoder + decoder + 32320 * h) + attention) / 1e9).epsilon(1e-12));
  // Both networks' weights, and 27 x 27 products of 16.
  const double dlrm = 13 * 512 + 512 * 256 + 256 * 64 + 64 * 16 + 27 * 27 * 16 + 367 * 512 + 512 * 256 + 256;
  CHECK(giga_macs(shipped("dlrm")) == Approx(dlrm / 1e9).epsilon(1e-12));
}

}  // namespace echelon
