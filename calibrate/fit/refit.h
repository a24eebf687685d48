// A profile and tables of measured kernels -> the profile with curves fitted to those tables:
// the body of `echelon import kernels CSV... --profile NAME -o OUT.yaml`.
//
// Rows are of use where they speak of the profile's chip (products and attention: the same chip on a card or module
// does the same work in a clock) or of the very same product (bandwidth). What the tables do not cover keeps the
// profile's curves.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "calibrate/fit/grouped_fit.h"
#include "calibrate/fit/held_out.h"
#include "sim/hardware/profile.h"
#include "sim/interop/kernel_tables.h"

namespace echelon {

// One fitted curve, for a table of what was done. Errors are fractions of held-out samples.
struct FittedCurve {
  std::string curve;  // "gemm bf16", "attention flash_attention_2 forward", "memory"
  std::int64_t samples = 0;
  std::int64_t held_out = 0;
  double median_error = 0;
  double p95_error = 0;
  std::string note;
  double mean_error = 0;  // MAPE

  std::string line() const;  // of a table of what was fitted
};

struct ImportReport {
  std::vector<FittedCurve> curves;
  std::vector<HeldOutShape> held_out;           // of products and attention
  std::map<std::string, std::int64_t> skipped;  // reason -> rows of the tables that took no part
};

constexpr std::size_t fewest_of_a_factor = 5;  // measured ratios, of which a factor is the median

// Sets the factor of experts' products in every format's curve, with where it is from, and reports it.
void put_grouped(Device& device, GroupedFit fit, const std::string& source, ImportReport& report);

// Throws InputError for files that are no kernel tables, and where no row speaks of the profile's accelerator.
Profile refit(const Profile& base, const std::vector<std::filesystem::path>& tables, ImportReport& report);

// The same from rows already read.
Profile refit(const Profile& base, const KernelTables& tables, ImportReport& report);

}  // namespace echelon
