#include "sim/report/comparison.h"

#include <nlohmann/json.hpp>

#include "sim/report/comparison_output.h"
#include "tests/catch.h"

using namespace echelon;

namespace {

// A step of 1,000 tokens whose parts add up to its time.
Candidate candidate(const std::string& name, Seconds compute, Seconds exposed_dp, double tokens = 1000) {
  Result result;
  result.breakdown.compute = compute;
  result.breakdown.exposed_dp = exposed_dp;
  result.iteration = result.breakdown.total();
  result.tokens = tokens;
  result.gpus = 8;
  result.peak = teraflops(1);
  result.memory.capacity = gibibytes(80);
  return {name, result};
}

const ResultColumn& throughput = *result_column("tokens_per_s");

}  // namespace

TEST_CASE("a difference is told by the parts of the time that make it") {
  // 8 + 1.9 = 9.9 s against 8 + 0.4 = 8.4 s: 9.9 / 8.4 = 1.179 times the throughput.
  const auto sentences =
      explain_differences({candidate("A", Seconds(8), Seconds(1.9)), candidate("B", Seconds(8), Seconds(0.4))});
  REQUIRE(sentences.size() == 1);
  CHECK(sentences[0] == "B is 17.9 % faster than A: exposed data-parallel time fell from 1.900 s to 400.00 ms.");
}

TEST_CASE("each part of the time is told by its own name") {
  for (const BreakdownColumn& column : breakdown_columns()) {
    std::vector<Candidate> candidates = {candidate("A", Seconds(8), Seconds(0)),
                                         candidate("B", Seconds(8), Seconds(0))};
    Result& slower = std::get<Result>(candidates[1].outcome);
    slower.breakdown.*column.part += Seconds(2);
    slower.iteration = slower.breakdown.total();
    const std::string told = explain_differences(candidates).front();
    CAPTURE(column.name, told);
    CHECK(told.find(" rose from ") != std::string::npos);
    for (const char* name : {"bubble", "optimizer", "offload"})
      CHECK((told.find(name) != std::string::npos) == (column.name == name));
  }
}

TEST_CASE("what worked against a difference is told too, and what is small is not") {
  Candidate slow = candidate("B", Seconds(7), Seconds(4));
  std::get<Result>(slow.outcome).breakdown.optimizer = Seconds(0.01);
  const auto sentences = explain_differences({candidate("A", Seconds(8), Seconds(2)), slow});
  REQUIRE(sentences.size() == 1);
  CHECK(sentences[0] ==
        "B is 9.09 % slower than A: exposed data-parallel time rose from 2.000 s to 4.000 s, while compute time fell "
        "from 8.000 s to 7.000 s.");
}

TEST_CASE("what the named parts leave of a difference is told where it is a tenth of it or more") {
  // Data-parallel time falls by 6 s, three small parts rise by 0.4 s each: 4.8 s in all, of which 1.2 s have no name.
  Candidate fast = candidate("B", Seconds(8), Seconds(1));
  Breakdown& parts = std::get<Result>(fast.outcome).breakdown;
  parts.bubble = parts.exposed_pp = parts.optimizer = Seconds(0.4);
  std::get<Result>(fast.outcome).iteration = parts.total();
  CHECK(
      explain_differences({candidate("A", Seconds(8), Seconds(7)), fast})[0] ==
      "B is 47.1 % faster than A: exposed data-parallel time fell from 7.000 s to 1.000 s, the rest rose by 1.200 s.");
}

TEST_CASE("a shorter step of fewer tokens, or a shorter run of fewer, is not marked as best") {
  std::vector<Candidate> candidates = {candidate("A", Seconds(8), Seconds(2), 2000),
                                       candidate("B", Seconds(4), Seconds(2), 1000)};
  for (Candidate& candidate : candidates) {
    candidate.run.emplace();
    candidate.run->tokens = 1e12;
    candidate.run->energy_kwh = 1e5;
  }
  candidates[0].run->wall = Seconds(86400);
  candidates[1].run->wall = Seconds(2 * 86400);
  const auto line = [&](const std::string& label) {
    const std::string text = comparison_to_text(candidates, throughput, false);
    const std::size_t at = text.find(label);
    return text.substr(at, text.find('\n', at) - at);
  };
  CHECK(line("iteration").find('*') == std::string::npos);
  CHECK(line("tokens/s").find("200*") != std::string::npos);
  CHECK(line("run, days").find("1.0*") != std::string::npos);
  candidates[1].run->tokens = 2e12;
  CHECK(line("run, days").find('*') == std::string::npos);
}

TEST_CASE("a run that never ends has no days") {
  std::vector<Candidate> candidates = {candidate("A", Seconds(1), Seconds(0)), candidate("B", Seconds(1), Seconds(0))};
  candidates[0].run = Forecast{};
  candidates[0].run->wall = Seconds(2 * 86400);
  candidates[1].run = candidates[0].run;
  candidates[1].run->training_share = 0;
  const std::string text = comparison_to_text(candidates, throughput, false);
  CAPTURE(text);
  const std::size_t days = text.find("run, days");
  REQUIRE(days != std::string::npos);
  const std::string line = text.substr(days, text.find('\n', days) - days);
  CHECK(line.find("2.0") != std::string::npos);
  CHECK(line.find("never done") != std::string::npos);
}

TEST_CASE("none within the limits is told from none that fits") {
  std::vector<Candidate> candidates = {candidate("A", Seconds(8), Seconds(2))};
  candidates[0].broken_limit = "the run costs 904907 USD, and 850000 are allowed";
  CHECK(best_text(candidates, throughput) == "None of them runs within the limits.");
  std::get<Result>(candidates[0].outcome).memory.fits = false;
  CHECK(best_text(candidates, throughput) == "None of them can run.");
}

TEST_CASE("steps of different batches are compared by token") {
  // Twice the tokens in twice the compute time, with the same exposed time: half of it a token.
  const auto sentences =
      explain_differences({candidate("A", Seconds(8), Seconds(2)), candidate("B", Seconds(16), Seconds(2), 2000)});
  REQUIRE(sentences.size() == 1);
  CHECK(sentences[0] ==
        "B is 11.1 % faster than A: exposed data-parallel time fell from 2.000 s to 1.000 s (for 1,000 tokens).");
}

TEST_CASE("clusters of different sizes are compared GPU by GPU") {
  // Half the GPUs take 12 s for the tokens that 8 take 10 s for: 10 / 12 of the throughput, 1.667 of it a GPU. What one
  // of the 8 does in 8 s of compute, one of the 4 does in 12 / 2 = 6 s.
  Candidate half = candidate("B", Seconds(12), Seconds(0));
  std::get<Result>(half.outcome).gpus = 4;
  const auto sentences = explain_differences({candidate("A", Seconds(8), Seconds(2)), half});
  REQUIRE(sentences.size() == 1);
  CHECK(sentences[0] ==
        "B is 16.7 % slower than A and, GPU by GPU, 66.7 % faster than it: compute time fell from 8.000 s to 6.000 s, "
        "exposed data-parallel time fell from 2.000 s to 0 (for 125 tokens a GPU).");
}

TEST_CASE("equal times are called so, and money is told where both have a price") {
  Candidate dear = candidate("B", Seconds(8), Seconds(2));
  Candidate cheap = candidate("A", Seconds(8), Seconds(2));
  std::get<Result>(cheap.outcome).cost_usd = 10;
  std::get<Result>(dear.outcome).cost_usd = 15;
  CHECK(explain_differences({cheap, dear})[0] == "B is as fast as A; a token costs 50 % more.");
}

TEST_CASE("energy and memory are told beside money, and of memory what changed most") {
  Candidate small = candidate("A", Seconds(8), Seconds(2));
  Candidate large = candidate("B", Seconds(8), Seconds(2));
  const auto fill = [](Candidate& one, double dollars, double joules, double activations, double optimizer) {
    Result& result = std::get<Result>(one.outcome);
    result.cost_usd = dollars;
    result.energy = Joules(joules);
    result.memory.peak = gibibytes(activations + optimizer);
    result.memory.by_category[static_cast<std::size_t>(MemoryCategory::activations)] = gibibytes(activations);
    result.memory.by_category[static_cast<std::size_t>(MemoryCategory::optimizer)] = gibibytes(optimizer);
  };
  fill(small, 10, 100, 20, 12);
  fill(large, 9, 120, 30, 11);
  CHECK(explain_differences({small, large})[0] ==
        "B is as fast as A; a token costs 10 % less and takes 20 % more energy; peak memory rose from 32.0 GiB to 41.0 "
        "GiB, activations by 10.0 GiB.");
  CHECK(explain_differences({large, small})[0] ==
        "A is as fast as B; a token costs 11 % more and takes 17 % less energy; peak memory fell from 41.0 GiB to 32.0 "
        "GiB, activations by 10.0 GiB.");
}

TEST_CASE("the price of a GPU-hour stands beside what it makes of a token") {
  // 10 USD for 8 GPUs and 10 s: 450 USD an hour.
  Candidate priced = candidate("A", Seconds(8), Seconds(2));
  std::get<Result>(priced.outcome).cost_usd = 10;
  const std::string text = comparison_to_text({priced, candidate("B", Seconds(8), Seconds(2))}, throughput, false);
  CHECK(text.find("GPU-hour                           450 USD                  -\n") != std::string::npos);
}

TEST_CASE("what cannot run is never best, and says why") {
  Candidate large = candidate("large", Seconds(1), Seconds(0));
  MemoryResult& memory = std::get<Result>(large.outcome).memory;
  memory.fits = false;
  memory.per_stage.push_back({gibibytes(100), {}, gibibytes(101), gibibytes(80)});
  memory.by_category[static_cast<std::size_t>(MemoryCategory::activations)] = gibibytes(70);
  const std::vector<Candidate> candidates = {
      large, {"odd", Infeasible{"3 stages for 2 layers"}}, candidate("C", Seconds(9), Seconds(0))};
  CHECK(best_candidate(candidates, throughput) == 2);
  const auto sentences = explain_differences(candidates);
  REQUIRE(sentences.size() == 2);
  CHECK(sentences[0] == "large does not fit: 101.0 GiB needed, 80.0 GiB there are; activations take most, 70.0 GiB.");
  CHECK(sentences[1] == "odd cannot run: 3 stages for 2 layers.");
  CHECK(!best_candidate({candidates[0], candidates[1]}, throughput));
  CHECK(!best_candidate({candidates[2]}, *result_column("cost")));  // no price, no best
}

TEST_CASE("what sums of differences leave of nothing is not shown as time") {
  std::vector<Candidate> candidates = {candidate("A", Seconds(8), Seconds(2)), candidate("B", Seconds(8), Seconds(0))};
  std::get<Result>(candidates[0].outcome).breakdown.other = Seconds(1e-15);
  std::get<Result>(candidates[1].outcome).breakdown.other = Seconds(-1e-15);
  CHECK(comparison_to_text(candidates, throughput, false).find("other") == std::string::npos);
  std::get<Result>(candidates[0].outcome).breakdown.other = Seconds(1);
  const std::string text = comparison_to_text(candidates, throughput, false);
  CHECK(text.find("other") != std::string::npos);
  CHECK(text.find("-0") == std::string::npos);
}

TEST_CASE("the table marks the best figure of a line, and JSON names the best candidate") {
  const std::vector<Candidate> candidates = {candidate("A", Seconds(8), Seconds(2)),
                                             candidate("B", Seconds(8), Seconds(0))};
  const std::string text = comparison_to_text(candidates, throughput, false);
  CHECK(text.find("iteration                         10.000 s            8.000 s*\n") != std::string::npos);
  CHECK(text.find("exposed_dp                 2.000 s  20 %                  0\n") != std::string::npos);
  CHECK(text.find("exposed_tp") == std::string::npos);
  CHECK(text.find("Best by tokens_per_s: B (125 tokens/s).\n") != std::string::npos);
  CHECK(best_text(candidates, *result_column("bubble_fraction")).find("A (0.0 %).") != std::string::npos);
  const auto json = comparison_to_json(candidates, throughput);
  CHECK(json["best"] == "B");
  CHECK(json["candidates"][0]["status"] == "ok");
  CHECK(json["candidates"][0]["result"]["cost"].is_null());
}
