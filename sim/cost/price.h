// What a work costs, by kind of time and by the ground that its numbers stand on.
#pragma once

#include <array>
#include <vector>

#include "sim/base/units.h"
#include "sim/cost/compute.h"
#include "sim/cost/layer_traffic.h"

namespace echelon {

// Device time by kind, whose sum device() is the time on the stream; `exposed` by Axis. `host` is what launching takes,
// or where the host waits in the pass for the device, how long it is in it.
struct Price {
  Seconds compute;
  Seconds recompute;
  std::array<Seconds, 5> exposed{};
  Seconds host_copy;
  Seconds idle;  // of the device, for its host: it fetches a micro-batch, or launches late what follows a wait
  Seconds host;
  double launches = 0;                 // kernels and waits between streams that the host queues in `host`
  Flops flops;                         // executed, recomputed ones included
  std::array<Seconds, 3> by_ground{};  // by Ground
  std::vector<LayerTraffic> traffic;   // of the axes on links (CostContext::on_links)

  Seconds device() const;
  Price& operator+=(const Price& other);
  Price scaled(double factor) const;
};

}  // namespace echelon
