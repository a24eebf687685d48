#include "sim/app/truth_cluster.h"

#include <fmt/format.h>

#include <array>

#include "sim/app/truth_words.h"

namespace echelon {

namespace {

struct ClusterRule {
  std::string_view gpu;      // words in the gpu column
  std::string_view gpu_too;  // more words there; "" = any
  std::string_view fabric;   // words in interconnect or source; "" = any
  std::string_view profile;
  std::string_view base;        // taken where `profile` is missing; "" = none
  std::string_view assumption;  // "" = the row says all
};

constexpr std::string_view same_as_efa = "taken as an AWS p5 instance: 8 H100, EFA of 3,200 Gb/s a node";
constexpr std::string_view four_adapters = "RoCE bandwidth not stated: four 200 Gb/s adapters a node assumed";

// The special before the general.
constexpr auto rules = std::to_array<ClusterRule>({
    {"gb300", "", "", "gb300-nvl72", "gb200-nvl72", ""},
    {"gb200", "", "", "gb200-nvl72", "", ""},
    {"b300", "", "", "dgx-b300", "dgx-b200", ""},
    {"b200", "", "simumax", "b200-simumax", "dgx-b200", ""},
    {"b200", "", "", "dgx-b200", "", ""},
    {"h200", "", "", "hgx-h200", "", ""},
    {"h100", "96g", "", "hgx-h100-96g-hbm2e", "dgx-h100", ""},
    {"h100", "hbm2e", "", "hgx-h100-96g-hbm2e", "dgx-h100", ""},
    {"h100", "500w", "", "hgx-h100-96g-hbm2e", "dgx-h100", ""},
    {"h100", "", "efa", "aws-p5-h100-efa", "dgx-h100", ""},
    {"h100", "", "aws", "aws-p5-h100-efa", "dgx-h100", ""},
    {"h100", "", "nanotron", "aws-p5-h100-efa", "dgx-h100", same_as_efa},
    {"h100", "", "800 gbps", "hgx-h100-800g", "dgx-h100", "800 Gb/s a node: priced as four 200 Gb/s adapters"},
    {"h100", "pcie", "", "", "", "no profile of an H100 PCIe"},
    {"h100", "", "", "dgx-h100", "", ""},
    {"h800", "", "", "dgx-h100", "", "an H800 is taken as an H100: its NVLink is 400 GB/s, not 900"},
    {"a100", "pcie", "", "pcie-8x-a100", "", ""},
    {"a100", "40g", "roce", "a100-40g-roce1600", "dgx-a100-40g", ""},
    {"a100", "40g", "", "dgx-a100-40g", "", ""},
    {"a100", "", "omnipath", "a100-80g-4opa100", "dgx-a100-80g", ""},
    {"a100", "", "omni-path", "a100-80g-4opa100", "dgx-a100-80g", ""},
    {"a100", "", "400 gbps", "a100-80g-roce400", "dgx-a100-80g", "400 Gb/s a node: priced as four 100 Gb/s adapters"},
    {"a100", "", "1600", "a100-80g-roce1600", "dgx-a100-80g", ""},
    {"a100", "", "4x200", "dgx-a100-80g-4hdr", "dgx-a100-80g", ""},
    {"a100", "", "800 gb", "dgx-a100-80g-4hdr", "dgx-a100-80g", ""},
    {"a100", "", "vtrain", "dgx-a100-80g-4hdr", "dgx-a100-80g", ""},
    {"a100", "", "roce", "dgx-a100-80g-4hdr", "dgx-a100-80g", four_adapters},
    {"a100", "", "vocabulary parallel", "dgx-a100-80g-4hdr", "dgx-a100-80g", four_adapters},
    {"a100", "", "", "dgx-a100-80g", "", ""},
    {"a800", "", "", "dgx-a100-80g", "", "an A800 is taken as an A100: its NVLink is 400 GB/s, not 600"},
    {"v100", "sxm3", "", "dgx1-v100-32g", "", "a DGX-2 is taken as DGX-1: NVSwitch and 450 W are not in the profile"},
    {"v100", "", "", "dgx1-v100-32g", "", ""},
    {"mi300", "", "", "hgx-mi300x", "", ""},
    {"l40s", "", "", "pcie-8x-l40s", "", ""},
});

bool matches(const ClusterRule& rule, const std::string& gpu, const std::string& fabric) {
  return gpu.find(rule.gpu) != std::string::npos && gpu.find(rule.gpu_too) != std::string::npos &&
         fabric.find(rule.fabric) != std::string::npos;
}

}  // namespace

std::variant<const Profile*, Infeasible> profile_of(const TruthRow& row, const ProfileSource& profiles,
                                                    std::vector<std::string>& assumptions) {
  const std::string gpu = lower_case(row.gpu);
  const std::string fabric = lower_case(row.interconnect + " " + row.source);
  if (gpu.empty()) return Infeasible{"gpu is not stated"};
  for (const ClusterRule& rule : rules) {
    if (!matches(rule, gpu, fabric)) continue;
    if (!rule.assumption.empty()) assumptions.emplace_back(rule.assumption);
    for (const auto name : {rule.profile, rule.base}) {
      const Profile* profile = name.empty() ? nullptr : profiles(std::string(name));
      if (profile == nullptr) continue;
      if (name != rule.profile) assumptions.push_back(fmt::format("no profile {}: {} taken", rule.profile, name));
      return profile;
    }
    return Infeasible{fmt::format("no hardware profile for gpu '{}'", row.gpu)};
  }
  return Infeasible{fmt::format("no hardware profile for gpu '{}'", row.gpu)};
}

}  // namespace echelon
