#include "sim/metrics/checkpointing.h"

#include <cmath>

#include "tests/catch.h"

using namespace echelon;

namespace {

struct AupyRow {
  double mtbf;
  double young;
  double daly;
  double first_order;
  double best;
};

// Aupy, Robert, Vivien, Zaidouni, "Impact of fault prediction on checkpointing strategies" (arXiv:1207.6936), table 2:
// periods in seconds for C = R = 600 s, D = 60 s.
constexpr AupyRow aupy[] = {
    {3849609, 68567, 68573, 67961, 68240}, {1924805, 48660, 48668, 48052, 48320}, {962402, 34584, 34595, 33972, 34189},
    {481201, 24630, 24646, 24014, 24231},  {240601, 17592, 17615, 16968, 17194},  {120300, 12615, 12648, 11982, 12218},
    {60150, 9096, 9142, 8449, 8701},       {30075, 6608, 6673, 5941, 6214},       {15038, 4848, 4940, 4154, 4458},
    {7519, 3604, 3733, 2869, 3218},
};

FailureModel model_of(double mtbf) {
  return {Seconds(mtbf), Seconds(600), Seconds(60), Seconds(600)};
}

}  // namespace

TEST_CASE("periods are those of the published table") {
  for (const AupyRow& row : aupy) {
    const FailureModel model = model_of(row.mtbf);
    CAPTURE(row.mtbf);
    CHECK(std::abs(young_period(model).value() - row.young) <= 1);
    CHECK(std::abs(daly_period(model).value() - row.daly) <= 1);
    CHECK(std::abs(first_order_period(model).value() - row.first_order) <= 1);
    // The table's optimum was found by a numeric search, to about one part in a thousand.
    CHECK(best_period(model).value() == Approx(row.best).epsilon(0.0015));
  }
}

TEST_CASE("no other period trains more than the best") {
  for (const AupyRow& row : aupy) {
    const FailureModel model = model_of(row.mtbf);
    const Seconds best = best_period(model);
    const double share = training_share(model, best);
    for (const double factor : {0.8, 0.99, 1.01, 1.25}) CHECK(training_share(model, best * factor) < share);
    for (const Seconds other : {young_period(model), daly_period(model), first_order_period(model)})
      CHECK(training_share(model, other) <= share * (1 + 1e-12));
    // The equation that it solves.
    const double u = best / model.mtbf;
    CHECK(u - model.write / model.mtbf == Approx(-std::expm1(-u)).epsilon(1e-9));
  }
}

TEST_CASE("for rare failures the waste is Young's: C/T + (D + R + T/2)/mu") {
  const FailureModel model = model_of(3849609);
  const Seconds period = young_period(model);
  const double waste = 600 / period.value() + (660 + period.value() / 2) / 3849609;
  CHECK(1 - training_share(model, period) == Approx(waste).epsilon(0.01));
}

TEST_CASE("nothing fails: what is lost is the writing") {
  CHECK(training_share({Seconds(0), Seconds(1), Seconds(60), Seconds(60)}, Seconds(10)) == 0.9);
}

TEST_CASE("checkpoints that cost nothing are written without end") {
  const FailureModel model{Seconds(7519), Seconds(0), Seconds(60), Seconds(600)};
  CHECK(best_period(model) == Seconds(0));
  // What failures cost alone: D, and R with its own failures.
  const double limit = 7519 / (7519.0 + 60) * std::exp(-600 / 7519.0);
  CHECK(training_share(model, Seconds(0)) == Approx(limit).epsilon(1e-12));
  CHECK(training_share(model, Seconds(1e-3)) == Approx(limit).epsilon(1e-6));
}

TEST_CASE("waiting for spare nodes is Erlang's loss") {
  CHECK(waiting_share(0, 3) == 0);
  CHECK(waiting_share(0.5, 0) == Approx(0.5 / 1.5));                  // a / (1 + a)
  CHECK(waiting_share(0.5, 1) == Approx(0.125 / (1 + 0.5 + 0.125)));  // a^2/2 / (1 + a + a^2/2)
  CHECK(waiting_share(20, 9) == Approx(0.538).epsilon(0.001));        // Erlang's tables: 10 servers, 20 erlangs
}
