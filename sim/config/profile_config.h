// Hardware profiles: hardware_profiles/NAME.yaml <-> Profile.
//
//   echelon: 1
//   based_on: OTHER          a profile in the same folder, or one that data_file() knows: all that this file does not
//                            give comes from there; curves then count as `scaled`, for they were fitted on another
//                            machine
//   title: text
//   price:   {usd_per_gpu_hour, source}
//   device:
//     name: text             must name the chip as kernel tables do ("H100 SXM5 80GB") to be refitted from them
//     datasheet: {peak_bf16_tflops, ..., memory_gib, memory_bandwidth_gb_s, multiprocessors, tdp_w, source}
//     behaviour: {kernel_gap_us, overlap_slowdown_ratio, sustained_clock_fraction,
//                 sustained_clock_fraction_8bit, source}
//     gemm: [...]            curves of sim/hardware/curves.h, one a number format
//     attention: [...]       one an implementation; the first is the default
//     memory_kernels: {...}
//   network: ...             sim/config/network_config.h
//   topology: ...            sim/config/topology_config.h; absent: NVSwitch nodes and rails, or as `network:` says
//   host: {link_gb_s, memory_bandwidth_gb_s, memory_gib, nvme_read_gb_s, nvme_write_gb_s, source}
//                            for offload; not taken from a base whose network the file replaces: another machine
//   tuned_rows: [...]        ids of truth rows that any number was tuned on
//
// The unit stands in every key, a `source` in every group.
#pragma once

#include <filesystem>
#include <string>

#include "sim/config/document.h"
#include "sim/config/number_rows.h"
#include "sim/hardware/profile.h"

namespace echelon {

// Throws InputError for a file that is no such document, lacks a number that no base gives, or is based on itself.
Profile load_profile(const std::filesystem::path& path);
// The file that a profile's `based_on` names. Throws InputError where there is none.
std::filesystem::path base_file(const std::filesystem::path& profile, const Value& based_on);

// The whole profile as YAML, every curve in full and no `based_on`. load_profile of it gives the same profile to the
// digits written (six significant ones).
std::string save_profile(const Profile& profile);

// Every number of a profile that is no part of a curve, in the order of the file.
std::vector<NamedNumber> profile_numbers(const Profile& profile);

// The `device:` section alone, as save_profile writes it.
std::string device_to_yaml(const Device& device);

// JSON Schema of a profile, in JSON text.
std::string profile_type();

}  // namespace echelon
