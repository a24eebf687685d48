// A hardware profile: one machine type, with the origin of every number. File: hardware_profiles/NAME.yaml.
#pragma once

#include <string>
#include <vector>

#include "sim/hardware/device.h"
#include "sim/hardware/host.h"
#include "sim/hardware/network.h"
#include "sim/hardware/topology_spec.h"

namespace echelon {

// The machine that a profile was measured on by `echelon calibrate`; all empty for a profile from elsewhere.
struct Calibration {
  std::string gpu;
  std::string host;
  std::string date;    // YYYY-MM-DD
  std::string driver;  // versions, as their libraries say them
  std::string cuda;
  std::string cublas;
  std::string nccl;
  std::string cudnn;
  std::string clocks;  // what was seen while it measured: clocks, power, temperature, drift
};

struct Profile {
  std::string name;   // file stem: "dgx-h100"
  std::string title;  // "DGX H100, 8 x H100 SXM 80 GB, 8 x NDR 400"
  std::string file;
  Device device;
  Network network;
  TopologySpec topology;
  Host host;
  double price_usd_per_gpu_hour = 0;  // 0 = not known
  std::string price_source;
  Calibration calibration;
  std::vector<std::string> sources;  // every distinct provenance line of the file
  std::vector<std::string>
      tuned_rows;  // ids of truth rows that any number was tuned on: validate leaves them out of its summary
};

}  // namespace echelon
