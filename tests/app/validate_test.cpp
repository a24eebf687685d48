#include "sim/app/validate.h"

#include "tests/app/truth_library.h"
#include "tests/catch.h"

using namespace echelon;
using namespace echelon::testing;

namespace {

// Eight rows of one model on one cluster, measured to take 1, 2, ... seconds.
std::vector<TruthRow> numbered_rows(std::size_t count) {
  std::vector<TruthRow> rows(count, gpt_row());
  for (std::size_t i = 0; i < count; ++i) {
    rows[i].id = "r" + std::to_string(i + 1);
    rows[i].iter_time_s = static_cast<double>(i + 1);
  }
  return rows;
}

Prediction taking(double seconds) {
  Prediction prediction;
  prediction.iteration_time = prediction.low = prediction.high = Seconds(seconds);
  prediction.peak_memory = gibibytes(33);
  prediction.stage_peaks = {gibibytes(22), gibibytes(33)};
  return prediction;
}

Outcome two_seconds(const Scenario&) {
  return taking(2);
}

}  // namespace

TEST_CASE("errors are relative to the measurement") {
  const auto report = validate(numbered_rows(4), usual_library(), two_seconds);
  REQUIRE(report.rows.size() == 4);
  CHECK(*report.rows[0].time_error == Approx(1));  // (2 - 1) / 1
  CHECK(*report.rows[1].time_error == Approx(0));  // (2 - 2) / 2
  CHECK(*report.rows[2].time_error == Approx(-1.0 / 3));
  CHECK(*report.rows[3].time_error == Approx(-0.5));
  REQUIRE(report.summaries.size() == 2);
  const ValidationSummary& file = report.summaries[0];
  CHECK(file.scope == "file");
  CHECK(file.name == "t.csv");
  CHECK(file.ok == 4);
  CHECK(*file.time.mape == Approx((1 + 0 + 1.0 / 3 + 0.5) / 4));
  CHECK(*file.time.bias == Approx((1 + 0 - 1.0 / 3 - 0.5) / 4));
  CHECK(*file.time.median == Approx((1.0 / 3 + 0.5) / 2));
  CHECK(*file.time.p90 == Approx(0.5 + 0.7 * 0.5));  // position 2.7 of {0, 1/3, 1/2, 1}
  CHECK_FALSE(file.kendall_tau);                     // all predictions alike
  CHECK(report.summaries[1].scope == "source");
}

TEST_CASE("several files are summed up together too") {
  auto rows = numbered_rows(4);
  rows[3].file = "other.csv";
  const auto report = validate(rows, usual_library(), two_seconds);
  REQUIRE(report.summaries.size() == 4);
  CHECK(report.summaries[2].scope == "all");
  CHECK(report.summaries[2].rows == 4);
}

TEST_CASE("Kendall's tau ranks rows of one model and cluster, and the median is over groups") {
  auto rows = numbered_rows(4);
  auto others = numbered_rows(3);
  for (TruthRow& row : others) row.model = "gpt-other";
  rows.insert(rows.end(), others.begin(), others.end());
  rows.push_back(gpt_row());
  rows.back().model = "gpt-alone";
  const auto agree_then_reverse = [](const Scenario& scenario) -> Outcome {
    const double measured = *scenario.measured.iteration_time_s;
    return taking(scenario.model.name == "gpt-22B" ? measured : 10 - measured);
  };
  const auto report = validate(rows, usual_library(), agree_then_reverse);
  CHECK(report.summaries[0].kendall_groups == 2);        // the group of one is left out
  CHECK(*report.summaries[0].kendall_tau == Approx(0));  // median of 1 and -1
}

TEST_CASE("runs of one strategy count once in the tau of strategies, by their median") {
  // Three strategies, each predicted in the order of its micro-batch; the first was run three times, once as slow as
  // the last strategy (numbered_rows: row i takes i + 1 seconds).
  auto rows = numbered_rows(5);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].micro_batch = 1;
    rows[i].global_batch = 8;
  }
  rows[2].micro_batch = 2;
  rows[3].micro_batch = 4;
  const auto by_micro_batch = [](const Scenario& scenario) -> Outcome {
    return taking(static_cast<double>(scenario.strategy.micro_batch));
  };
  const auto& summary = validate(rows, usual_library(), by_micro_batch).summaries[0];
  // Rows: 1, 2 and 5 s predicted alike, 3 and 4 s above. Of 10 pairs 3 tied, 5 in order, 2 not: 3 / sqrt(7 * 10).
  CHECK(*summary.kendall_tau == Approx(3 / std::sqrt(70.0)));
  CHECK(summary.strategy_groups == 1);
  CHECK(*summary.strategy_tau == Approx(1));  // medians 2, 3 and 4 s
}

TEST_CASE("which of two strategies is faster counts, however often they were run") {
  auto rows = numbered_rows(3);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    rows[i].micro_batch = i < 2 ? 1 : 4;
    rows[i].global_batch = 8;
  }
  const auto by_micro_batch = [](const Scenario& scenario) -> Outcome {
    return taking(static_cast<double>(scenario.strategy.micro_batch));
  };
  const auto& summary = validate(rows, usual_library(), by_micro_batch).summaries[0];
  CHECK(summary.strategy_groups == 1);
  CHECK(*summary.strategy_tau == Approx(1));
}

TEST_CASE("a pick counts where what is predicted fastest took 3 % more than the fastest at most") {
  // Measured 1, 2, 3 and 4 s for one batch. Who is told that the second is fastest loses 100 %, the first 0 %; the
  // first is not picked where it is predicted not to fit.
  const auto with_fastest = [](double fastest, bool first_fits) {
    return [=](const Scenario& scenario) -> Outcome {
      const double measured = *scenario.measured.iteration_time_s;
      Prediction prediction = taking(measured == fastest ? 0.5 : measured);
      prediction.fits = first_fits || measured > 1;
      return prediction;
    };
  };
  const auto near_picks = [&](double fastest, bool first_fits) {
    const auto report = validate(numbered_rows(4), usual_library(), with_fastest(fastest, first_fits));
    CHECK(report.summaries[0].pick_groups == 1);
    return report.summaries[0].near_picks;
  };
  CHECK(near_picks(1, true) == 1);
  CHECK(near_picks(2, true) == 0);
  CHECK(near_picks(1, false) == 0);
  const auto report = validate(numbered_rows(4), usual_library(), with_fastest(1, true));
  CHECK(summary_markdown(report).find("| 1/1 |") != std::string::npos);
}

TEST_CASE("a row that cannot be translated, one refused and one too large each say why") {
  auto rows = numbered_rows(3);
  rows[0].tp.reset();
  const auto simulate = [](const Scenario& scenario) -> Outcome {
    if (scenario.name == "r2") return Infeasible{"more stages than layers"};
    Prediction prediction = taking(6);
    prediction.fits = false;
    return prediction;
  };
  const auto report = validate(rows, usual_library(), simulate);
  CHECK(report.rows[0].status == RowStatus::skipped);
  CHECK(report.rows[0].reason == "tp is not stated");
  CHECK(report.rows[1].status == RowStatus::infeasible);
  CHECK(report.rows[1].reason == "more stages than layers");
  CHECK_FALSE(report.rows[1].predicted);
  CHECK(report.rows[2].status == RowStatus::infeasible);
  CHECK(*report.rows[2].time_error == Approx(1));  // the prediction stands: (6 - 3) / 3
  const ValidationSummary& file = report.summaries[0];
  CHECK(file.skipped == 1);
  CHECK(file.infeasible == 2);
  CHECK(file.time.n == 1);
  CHECK(file.fits.ran_does_not_fit == 1);
}

TEST_CASE("rows that failed are simulated for what fits alone") {
  auto rows = numbered_rows(2);
  for (TruthRow& row : rows) {
    row.iter_time_s.reset();
    row.notes = "STATUS=crashed/OOM/timeout (no number)";
  }
  const auto simulate = [](const Scenario& scenario) -> Outcome {
    Prediction prediction = taking(1);
    prediction.fits = scenario.name == "r1";
    return prediction;
  };
  const auto summary = validate(rows, usual_library(), simulate).summaries[0];
  CHECK(summary.time.n == 0);
  CHECK(summary.fits.failed_fits == 1);
  CHECK(summary.fits.failed_does_not_fit == 1);
}

TEST_CASE("memory is compared with the first stage where the source measured that one") {
  auto rows = numbered_rows(2);
  for (TruthRow& row : rows) row.peak_mem_gib = 20;
  rows[1].source = "nanotron";
  rows[1].precision = "bf16";
  const auto report = validate(rows, usual_library(), two_seconds);
  CHECK(*report.rows[0].memory_error == Approx(0.65));  // (33 - 20) / 20
  CHECK(*report.rows[1].memory_error == Approx(0.1));   // (22 - 20) / 20
}

TEST_CASE("rows that a profile was tuned on are shown and left out of the statistics") {
  Profile profile = fake_profile("dgx-a100-80g", false);
  profile.tuned_rows = {"r1"};
  const auto report = validate(numbered_rows(2), fake_library({{"dgx-a100-80g", profile}}), two_seconds);
  CHECK(report.rows[0].tuned);
  CHECK(report.rows[0].time_error);
  CHECK(report.summaries[0].tuned == 1);
  CHECK(report.summaries[0].time.n == 1);
  CHECK(*report.summaries[0].time.mape == Approx(0));
}

TEST_CASE("filters by column, by words and by name") {
  TruthRow row = gpt_row();
  CHECK(parse_row_filter("")(row));
  CHECK(parse_row_filter("pp=1,gpu~a100")(row));
  CHECK_FALSE(parse_row_filter("pp=1,gpu~h100")(row));
  CHECK(parse_row_filter("megatron")(row));
  CHECK(parse_row_filter("source~SC'21")(row));
  CHECK_FALSE(parse_row_filter("id=r")(row));
  CHECK_THROWS_AS(parse_row_filter("speed=1"), InputError);
}

TEST_CASE("the JSON report has the contract's fields") {
  auto rows = numbered_rows(2);
  rows[1].tp.reset();
  const auto json = to_json(validate(rows, usual_library(), two_seconds));
  const auto& ok = json.at("rows").at(0);
  CHECK(ok.at("id") == "r1");
  CHECK(ok.at("status") == "ok");
  CHECK(ok.at("file") == "t.csv");
  CHECK(ok.at("measured").at("iteration_time_s") == 1.0);
  CHECK(ok.at("measured").at("peak_memory_bytes").is_null());
  CHECK(ok.at("predicted").at("iteration_time_low_s") == 2.0);
  CHECK(ok.at("predicted").at("fits") == true);
  CHECK(ok.at("error").at("iteration_time") == 1.0);
  CHECK(ok.at("error").at("memory").is_null());
  const auto& skipped = json.at("rows").at(1);
  CHECK(skipped.at("status") == "skipped");
  CHECK(skipped.at("reason") == "tp is not stated");
  CHECK(skipped.at("predicted").is_null());
  CHECK(json.at("summary").at(0).at("iteration_time").at("mape") == 1.0);
}

TEST_CASE("text and Markdown have a line for each row and summary") {
  auto rows = numbered_rows(2);
  rows[1].tp.reset();
  const auto report = validate(rows, usual_library(), two_seconds);
  const std::string text = rows_text(report, RowDetail::assumptions);
  CHECK(text.find("+100.0 %") != std::string::npos);
  CHECK(text.find("    tp is not stated\n") != std::string::npos);
  CHECK(text.find("    assumed: ") != std::string::npos);
  CHECK(rows_text(report, RowDetail::rows).find("assumed") == std::string::npos);
  const std::string table = summary_markdown(report);
  CHECK(table.find("| t.csv | 2 | 1 |") != std::string::npos);
  CHECK(table.find("| --- | ---: |") != std::string::npos);
  CHECK(summary_text(report).find("100.0 %") != std::string::npos);
}

TEST_CASE("progress counts every row") {
  std::size_t last = 0;
  validate(numbered_rows(3), usual_library(), two_seconds,
           [&](std::size_t done, std::size_t total) { last = done * 10 + total; });
  CHECK(last == 33);
}
