// Measured collectives -> the constants of a Network with which collective_time comes closest to them.
//
// Sum over rows of Huber's loss of log(predicted / measured), each run's rows thinned to eight an octave so that a
// dense sweep counts no more than another, plus a weak pull towards the base's constants that settles what the rows
// leave open. First each constant alone over its range, then all by Nelder-Mead search; deterministic. Constants that
// no row depends on keep the base's values. Sweeps that stop at middle sizes say little of bandwidth, so that no rate
// goes beyond twice what a row shows (or the base's own).
#pragma once

#include <string>
#include <vector>

#include "sim/base/collective_kind.h"
#include "sim/base/units.h"
#include "sim/hardware/network.h"

namespace echelon {

struct MeasuredTime {
  Bytes bytes;  // the full vector, as nccl-tests counts it
  Seconds time;
};

// One sweep over sizes. `times` ascend in bytes.
struct MeasuredRun {
  std::string name;  // for the report
  CollectiveKind kind = CollectiveKind::all_reduce;
  GroupShape group;
  std::vector<MeasuredTime> times;
};

// A constant of the network that fits may move.
struct LinkConstant {
  const char* name;  // key of the profile: "ring_bus_gb_s"
  double least;      // bounds of the fit, in the key's unit; 0 = may be nothing
  double most;
  double pull;  // towards the base: what an e-fold away from it costs, in rows that are 10 % off
  double (*get)(const Network&);
  void (*set)(Network&, double);
};
const std::vector<LinkConstant>& link_constants();

struct FittedConstant {
  std::string name;
  double before = 0;
  double after = 0;
  bool at_bound = false;
};

// Errors are |predicted / measured - 1|.
struct RunResidual {
  std::string name;
  CollectiveKind kind = CollectiveKind::all_reduce;
  GroupShape group;
  std::int64_t rows = 0;
  double median = 0;
  double p95 = 0;
  double fitted_half = 0;  // median over every second size, with constants fitted to those
  double other_half = 0;   // median over the sizes between, with the same constants; 0 with one row
};

struct LinkFit {
  Network network;
  std::vector<FittedConstant> constants;
  std::vector<RunResidual> residuals;
};

// Only the constants; runs without times do not count.
Network fitted_network(const Network& base, const std::vector<MeasuredRun>& runs);
// Also what each run is off, and how well half the sizes foretell the others.
LinkFit fit_links(const Network& base, const std::vector<MeasuredRun>& runs);

// |predicted / measured - 1| of each time.
std::vector<double> link_errors(const Network& network, const MeasuredRun& run);

struct BusBandwidth {
  Bytes bytes;
  ByteRate bus;  // as nccl-tests defines it
};
// What a run's rows show, and what the network would give over their range; at most eight sizes an octave.
std::vector<BusBandwidth> measured_bandwidth(const MeasuredRun& run);
std::vector<BusBandwidth> fitted_bandwidth(const Network& network, const MeasuredRun& run);

}  // namespace echelon
