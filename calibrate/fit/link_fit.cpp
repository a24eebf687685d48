#include "calibrate/fit/link_fit.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <string_view>

#include "calibrate/fit/robust.h"
#include "sim/cost/collective.h"

namespace echelon {
namespace {

constexpr double gb_s = 1e9;
constexpr double us = 1e-6;

template <auto Member>
double rate_of(const Network& network) {
  return (network.*Member).value() / gb_s;
}
template <auto Member>
void set_rate(Network& network, double value) {
  network.*Member = gigabytes_per_second(value);
}
template <auto Member>
double time_of(const Network& network) {
  return (network.*Member).value() / us;
}
template <auto Member>
void set_time(Network& network, double value) {
  network.*Member = microseconds(value);
}
template <auto Member>
double ratio_of(const Network& network) {
  return network.*Member;
}
template <auto Member>
void set_ratio(Network& network, double value) {
  network.*Member = value;
}

// One number for each constant that is fitted: where it stands between its bounds, 0..1; logarithmically where the
// lower bound is above 0, else by its cube root, which is fine near 0 too.
class Scale {
 public:
  Scale(const LinkConstant& constant, double most)
      : constant_(constant), folds_(constant.least > 0 ? std::log(most / constant.least) : 0), most_(most) {}

  const LinkConstant& constant() const { return constant_; }

  double value(double position) const {
    const double x = std::clamp(position, 0.0, 1.0);
    constexpr double nothing = 1e-3;  // of the range
    if (folds_ > 0) return constant_.least * std::exp(folds_ * x);
    return x < nothing ? 0 : most_ * x * x * x;
  }
  double position(double value) const {
    if (folds_ <= 0) return std::cbrt(std::clamp(value / most_, 0.0, 1.0));
    return std::log(std::clamp(value, constant_.least, most_) / constant_.least) / folds_;
  }
  // What the distance of two positions costs: linear but close to nothing, so that rows outweigh it.
  double pull(double distance) const {
    constexpr double linear_folds = 2;  // a constant that may be 0 has its range taken for so many e-folds
    constexpr double knee = 0.1;
    return constant_.pull / knee * huber_loss(distance * (folds_ > 0 ? folds_ : linear_folds), knee);
  }

 private:
  const LinkConstant& constant_;
  double folds_;  // e-folds between the bounds
  double most_;
};

struct Sample {
  CollectiveCall call;
  double seconds = 0;
};

const double octave_step = std::exp2(1.0 / 8);

// At most eight rows an octave.
std::vector<MeasuredTime> thinned(const std::vector<MeasuredTime>& times) {
  constexpr double rounding = 1 - 1e-9;
  std::vector<MeasuredTime> kept;
  for (const MeasuredTime& one : times)
    if (kept.empty() || one.bytes >= kept.back().bytes * (octave_step * rounding)) kept.push_back(one);
  return kept;
}

std::vector<Sample> samples_of(const std::vector<MeasuredRun>& runs) {
  std::vector<Sample> samples;
  for (const MeasuredRun& run : runs)
    for (const MeasuredTime& one : thinned(run.times))
      samples.push_back({{run.kind, run.group, one.bytes}, one.time.value()});
  return samples;
}

ByteRate bus_bandwidth(const CollectiveCall& call, Seconds time) {
  return ByteRate(call.bytes.value() * bus_factor(call.kind, static_cast<double>(call.group.ranks)) / time.value());
}

double predicted(const Network& network, const Sample& sample) {
  return collective_time(network, sample.call).time.value();
}

// The bus bandwidth that a run heads for as sizes grow, at most. With time = a + bytes / B, a doubling of the size that
// multiplies the bandwidth by r leaves B at 1 / (2 - r) of what is reached; a quarter more for slower rises. Twice
// where the last doubling says nothing.
double reachable_gb_s(const MeasuredRun& run) {
  constexpr double slower_rise = 1.25;
  constexpr double most = 2;
  if (run.times.empty()) return 0;
  const auto bus = [&](const MeasuredTime& one) {
    return bus_bandwidth({run.kind, run.group, one.bytes}, one.time).value() / gb_s;
  };
  const MeasuredTime& last = run.times.back();
  const auto half = std::find_if(run.times.rbegin(), run.times.rend(),
                                 [&](const MeasuredTime& one) { return one.bytes <= last.bytes * 0.51; });
  double best = 0;
  for (const MeasuredTime& one : run.times) best = std::max(best, bus(one));
  if (half == run.times.rend() || half->bytes < last.bytes * 0.49) return most * best;
  const double growth = std::clamp(bus(last) / bus(*half), 1.0, most - slower_rise / most);
  return slower_rise / (most - growth) * best;
}

// The largest of it inside nodes, and for each adapter between them.
struct Reachable {
  double inside_gb_s = 0;
  double adapter_gb_s = 0;
};

Reachable reachable_of(const Network& network, const std::vector<MeasuredRun>& runs) {
  Reachable reachable;
  for (const MeasuredRun& run : runs) {
    const double bus = reachable_gb_s(run);
    const double share = static_cast<double>(run.group.ranks_per_node) / static_cast<double>(network.gpus_per_node);
    reachable.inside_gb_s = std::max(reachable.inside_gb_s, bus);
    if (run.group.ranks > run.group.ranks_per_node && network.adapters > 0)
      reachable.adapter_gb_s = std::max(reachable.adapter_gb_s, bus / (share * static_cast<double>(network.adapters)));
  }
  return reachable;
}

class Search {
 public:
  Search(const Network& base, const std::vector<MeasuredRun>& runs)
      : original_(base), base_(started(base)), samples_(samples_of(runs)) {
    const Reachable reachable = reachable_of(base_, runs);
    for (const LinkConstant& constant : link_constants()) {
      const Scale scale(constant, upper_bound(constant, reachable));
      // A rate of 0 that stands for nothing else is a thing that the machine does not have.
      const bool absent = constant.get(base_) == 0 && constant.least > 0;
      if (!absent && matters(scale)) free_.push_back(scale);
    }
    for (const Scale& scale : free_) start_.push_back(scale.position(scale.constant().get(base_)));
  }

  Network run() {
    if (free_.empty()) return original_;
    std::vector<std::size_t> order(free_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    // Which constant is scanned first decides which valley is found: rates, or latencies.
    Minimum best = descend(order);
    std::reverse(order.begin(), order.end());
    if (const Minimum other = descend(order); other.value < best.value) best = other;
    Network fitted = original_;
    place(fitted, best.at);
    fitted.scaling = base_.scaling;
    return fitted;
  }

 private:
  // Bandwidths that 0 stands for another's get that one's value, so that they can move. What was measured by number of
  // nodes on the base's system does not hold for the rows'.
  static Network started(Network network) {
    network.scaling = {};
    if (network.pair_bus <= ByteRate(0)) network.pair_bus = network.ring_bus;
    if (network.all_to_all_bus <= ByteRate(0)) network.all_to_all_bus = network.ring_bus;
    return network;
  }

  double upper_bound(const LinkConstant& constant, const Reachable& reachable) const {
    const std::string_view name = constant.name;
    if (name.find("gb_s") == std::string_view::npos) return constant.most;
    const double rate = name == "adapter_gb_s" ? reachable.adapter_gb_s : reachable.inside_gb_s;
    return std::min(constant.most, std::max(constant.get(base_), rate));
  }

  bool matters(const Scale& scale) const {
    for (const double position : {0.0, 0.25, 0.5, 0.75, 1.0}) {
      Network moved = base_;
      scale.constant().set(moved, scale.value(position));
      for (const Sample& sample : samples_)
        if (std::abs(std::log(predicted(moved, sample) / predicted(base_, sample))) > 0.01) return true;
    }
    return false;
  }

  Minimum descend(const std::vector<std::size_t>& order) const {
    std::vector<double> at = start_;
    for (int round = 0; round < 2; ++round) scan(at, order);
    const auto objective = [this](std::span<const double> x) { return loss(x); };
    const std::vector<double> step(at.size(), 0.05);
    // Few rows are searched longer: there the loss is roughest, and time is nothing.
    const std::size_t evaluations = at.size() * std::clamp<std::size_t>(600'000 / samples_.size(), 200, 2000);
    for (int round = 0; round < 2; ++round) {
      at = minimise(objective, at, step, static_cast<int>(evaluations)).at;
      scan(at, order);
    }
    return {at, loss(at)};
  }

  // Each constant alone over its range, the others held.
  void scan(std::vector<double>& at, const std::vector<std::size_t>& order) const {
    constexpr int places = 24;
    double best = loss(at);
    for (const std::size_t i : order) {
      double& position = at[i];
      double kept = position;
      for (int place = 0; place <= places; ++place) {
        position = static_cast<double>(place) / places;
        const double value = loss(at);
        if (value >= best) continue;
        best = value;
        kept = position;
      }
      position = kept;
    }
  }

  void place(Network& network, std::span<const double> at) const {
    for (std::size_t i = 0; i < at.size(); ++i) free_[i].constant().set(network, free_[i].value(at[i]));
  }

  // In rows that are 10 % off.
  double loss(std::span<const double> at) const {
    constexpr double knee = 0.1;
    constexpr double one_row = 0.5 * knee * knee;
    constexpr double wall = 1e4;
    Network network = base_;
    place(network, at);
    double sum = 0;
    for (const Sample& sample : samples_)
      sum += huber_loss(std::log(predicted(network, sample) / sample.seconds), knee) / one_row;
    for (std::size_t i = 0; i < at.size(); ++i) {
      const double outside = at[i] - std::clamp(at[i], 0.0, 1.0);
      sum += free_[i].pull(at[i] - start_[i]) + wall * outside * outside;
    }
    return sum;
  }

  Network original_;
  Network base_;  // original_ with no measured scaling and every rate a number of its own
  std::vector<Sample> samples_;
  std::vector<Scale> free_;
  std::vector<double> start_;
};

std::vector<MeasuredRun> every_second(const std::vector<MeasuredRun>& runs, std::size_t first) {
  std::vector<MeasuredRun> halves = runs;
  for (MeasuredRun& run : halves) {
    std::vector<MeasuredTime> kept;
    for (std::size_t i = first; i < run.times.size(); i += 2) kept.push_back(run.times[i]);
    run.times = std::move(kept);
  }
  return halves;
}

}  // namespace

const std::vector<LinkConstant>& link_constants() {
  constexpr double rate_pull = 6;  // the base's rates come from longer sweeps or a datasheet
  constexpr double pull = 1.5;
  static const std::vector<LinkConstant> constants = {
      {"ring_bus_gb_s", 0.1, 5000, rate_pull, rate_of<&Network::ring_bus>, set_rate<&Network::ring_bus>},
      {"pair_bus_gb_s", 0.1, 5000, rate_pull, rate_of<&Network::pair_bus>, set_rate<&Network::pair_bus>},
      {"nvls_bus_gb_s", 0.1, 5000, rate_pull, rate_of<&Network::nvls_bus>, set_rate<&Network::nvls_bus>},
      {"all_to_all_bus_gb_s", 0.1, 5000, rate_pull, rate_of<&Network::all_to_all_bus>,
       set_rate<&Network::all_to_all_bus>},
      {"pair_gb_s", 0.1, 5000, rate_pull, rate_of<&Network::pair_rate>, set_rate<&Network::pair_rate>},
      {"pair_latency_us", 0.2, 500, pull, time_of<&Network::pair_latency>, set_time<&Network::pair_latency>},
      {"step_latency_scale", 0.1, 50, pull, ratio_of<&Network::step_latency_scale>,
       set_ratio<&Network::step_latency_scale>},
      {"adapter_gb_s", 0.05, 1000, rate_pull, rate_of<&Network::adapter_rate>, set_rate<&Network::adapter_rate>},
      {"adapter_latency_us", 0.5, 1000, pull, time_of<&Network::adapter_latency>, set_time<&Network::adapter_latency>},
      {"network_latency_scale", 0.1, 100, pull, ratio_of<&Network::network_latency_scale>,
       set_ratio<&Network::network_latency_scale>},
      {"base_latency_scale", 0.1, 30, pull, ratio_of<&Network::base_latency_scale>,
       set_ratio<&Network::base_latency_scale>},
      {"mid_size_loss", 0, 1, pull, ratio_of<&Network::mid_size_loss>, set_ratio<&Network::mid_size_loss>},
      {"ll_share", 0.01, 1, pull, ratio_of<&Network::ll_share>, set_ratio<&Network::ll_share>},
      {"ll128_share", 0.01, 1, pull, ratio_of<&Network::ll128_share>, set_ratio<&Network::ll128_share>},
      {"tree_share", 0.05, 1, pull, ratio_of<&Network::tree_share>, set_ratio<&Network::tree_share>},
      {"rooted_share", 0.02, 1, pull, ratio_of<&Network::rooted_share>, set_ratio<&Network::rooted_share>},
      {"rooted_latency_scale", 0.05, 10, pull, ratio_of<&Network::rooted_latency_scale>,
       set_ratio<&Network::rooted_latency_scale>},
      {"rooted_slot_us", 0.1, 1000, pull, time_of<&Network::rooted_slot>, set_time<&Network::rooted_slot>},
      {"rooted_ll128_step_us", 0.1, 1000, pull, time_of<&Network::rooted_ll128_step>,
       set_time<&Network::rooted_ll128_step>},
      {"rooted_simple_step_us", 0.1, 10000, pull, time_of<&Network::rooted_simple_step>,
       set_time<&Network::rooted_simple_step>},
      {"rooted_ll128_share", 0.02, 1, pull, ratio_of<&Network::rooted_ll128_share>,
       set_ratio<&Network::rooted_ll128_share>},
      {"simple_latency_scale", 0.05, 20, pull, ratio_of<&Network::simple_latency_scale>,
       set_ratio<&Network::simple_latency_scale>},
      {"nvls_latency_us", 1, 500, pull, time_of<&Network::nvls_latency>, set_time<&Network::nvls_latency>},
      {"call_floor_us", 0, 10000, pull, time_of<&Network::call_floor>, set_time<&Network::call_floor>},
      {"congestion", 0, 1, pull, ratio_of<&Network::congestion>, set_ratio<&Network::congestion>},
  };
  return constants;
}

Network fitted_network(const Network& base, const std::vector<MeasuredRun>& runs) {
  return Search(base, runs).run();
}

std::vector<double> link_errors(const Network& network, const MeasuredRun& run) {
  std::vector<double> errors;
  for (const MeasuredTime& one : run.times)
    errors.push_back(std::abs(collective_time(network, {run.kind, run.group, one.bytes}).time / one.time - 1));
  return errors;
}

std::vector<BusBandwidth> measured_bandwidth(const MeasuredRun& run) {
  std::vector<BusBandwidth> curve;
  for (const MeasuredTime& one : thinned(run.times))
    curve.push_back({one.bytes, bus_bandwidth({run.kind, run.group, one.bytes}, one.time)});
  return curve;
}

std::vector<BusBandwidth> fitted_bandwidth(const Network& network, const MeasuredRun& run) {
  constexpr double rounding = 1 + 1e-9;
  std::vector<BusBandwidth> curve;
  if (run.times.empty()) return curve;
  for (Bytes bytes = run.times.front().bytes; bytes <= run.times.back().bytes * rounding; bytes *= octave_step) {
    const CollectiveCall call{run.kind, run.group, bytes};
    curve.push_back({bytes, bus_bandwidth(call, collective_time(network, call).time)});
  }
  return curve;
}

LinkFit fit_links(const Network& base, const std::vector<MeasuredRun>& runs) {
  LinkFit fit;
  fit.network = fitted_network(base, runs);
  for (const LinkConstant& constant : link_constants()) {
    const double before = constant.get(base);
    const double after = constant.get(fit.network);
    const bool bound = (constant.least > 0 && after <= constant.least * 1.001) || after >= constant.most * 0.999;
    const bool same = std::abs(after - before) <= 1e-3 * std::max(before, after);
    if (!same) fit.constants.push_back({constant.name, before, after, bound});
  }
  const std::vector<MeasuredRun> half = every_second(runs, 0);
  const std::vector<MeasuredRun> others = every_second(runs, 1);
  const Network of_half = fitted_network(base, half);
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const ErrorFigures all = error_figures(link_errors(fit.network, runs[i]));
    fit.residuals.push_back({runs[i].name, runs[i].kind, runs[i].group, static_cast<std::int64_t>(runs[i].times.size()),
                             all.median, all.p95, error_figures(link_errors(of_half, half[i])).median,
                             error_figures(link_errors(of_half, others[i])).median});
  }
  return fit;
}

}  // namespace echelon
