#include "sim/config/device_config.h"

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "sim/config/curve_config.h"

namespace echelon {
namespace {

NumberRows<Device> peak_rows() {
  NumberRows<Device> rows;
  for (const auto& entry : enum_names<DataType>) {
    const auto at = static_cast<std::size_t>(entry.value);
    rows.push_back({fmt::format("peak_{}_tflops", entry.name), 0, 1e6,
                    fmt::format("dense peak rate in {}; 0 = no such unit", entry.name),
                    [at](const Device& device) { return device.peak[at].value() / 1e12; },
                    [at](Device& device, double value) { device.peak[at] = teraflops(value); }});
  }
  return rows;
}

NumberRows<Device> datasheet_rows() {
  NumberRows<Device> rows = peak_rows();
  rows.push_back(quantity_row("memory_gib", 0.1, 1e5, &Device::memory, gibibytes(1).value(),
                              "capacity that a process can allocate"));
  rows.push_back(quantity_row("memory_bandwidth_gb_s", 1, 1e6, &Device::memory_bandwidth, 1e9,
                              "of device memory, 10^9 bytes a second"));
  rows.push_back(
      count_row("multiprocessors", 1e6, &Device::multiprocessors, "streaming multiprocessors or compute units"));
  rows.push_back(quantity_row("tdp_w", 1, 1e5, &Device::tdp, 1, "thermal design power"));
  return rows;
}

NumberRow<Device> clock_row(std::string name, double least, double SustainedClock::*member, std::string meaning) {
  return {std::move(name),
          least,
          1,
          std::move(meaning),
          [=](const Device& device) { return device.sustained_clock.*member; },
          [=](Device& device, double value) { device.sustained_clock.*member = value; }};
}

NumberRows<Device> behaviour_rows() {
  return {quantity_row("kernel_gap_us", 0, 1000, &Device::kernel_gap, 1e-6, "launch to launch of tiny kernels"),
          plain_row("overlap_slowdown_ratio", 1, 10, &Device::overlap_slowdown,
                    "time of compute beside a running collective over its time alone"),
          clock_row("sustained_clock_fraction", 0.1, &SustainedClock::wide,
                    "share of the short-benchmark rate that matrix kernels keep in training"),
          clock_row("sustained_clock_fraction_8bit", 0, &SustainedClock::narrow,
                    "the same of operands of 8 bits and fewer; 0 = as of wider ones")};
}

template <class Target>
Key<Target> source_key(std::string Target::*member) {
  return text_key<Target>("source", member, "where the group's numbers come from", Presence::required);
}

std::vector<Key<Device>> datasheet_keys() {
  std::vector<Key<Device>> keys = keys_of(datasheet_rows());
  keys.push_back(source_key(&Device::datasheet_source));
  return keys;
}

std::vector<Key<Device>> behaviour_keys() {
  std::vector<Key<Device>> keys = keys_of(behaviour_rows());
  keys.push_back(source_key(&Device::behaviour_source));
  return keys;
}

std::vector<Key<Device>> device_keys() {
  std::vector<Key<Device>> keys = {
      text_key<Device>("name", &Device::name, "the accelerator, with its chip's name"),
      {{"datasheet", object_type_of(datasheet_keys()), "the vendor's figures"},
       [](const Value& value, Device& device) { read_keys(value, datasheet_keys(), device); }},
      {{"behaviour", object_type_of(behaviour_keys()), "figures that no datasheet gives"},
       [](const Value& value, Device& device) { read_keys(value, behaviour_keys(), device); }}};
  append(keys, curve_keys());
  return keys;
}

}  // namespace

void read_device(const Value& section, Device& device) {
  read_keys(section, device_keys(), device);
}

std::string write_device(const Device& device, int indent) {
  const std::string outer(static_cast<std::size_t>(indent), ' ');
  const std::string inner = outer + "  ";
  std::string out = fmt::format("{}name: {}\n{}datasheet:\n", outer, quoted(device.name), outer);
  write_rows(out, datasheet_rows(), device, inner);
  out += fmt::format("{}source: {}\n{}behaviour:\n", inner, quoted(device.datasheet_source), outer);
  write_rows(out, behaviour_rows(), device, inner);
  out += fmt::format("{}source: {}\n", inner, quoted(device.behaviour_source));
  return out + write_curves(device, outer);
}

std::vector<NamedNumber> device_numbers(const Device& device) {
  std::vector<NamedNumber> numbers;
  for (const auto& row : datasheet_rows()) numbers.push_back({"device.datasheet." + row.name, row.get(device)});
  for (const auto& row : behaviour_rows()) numbers.push_back({"device.behaviour." + row.name, row.get(device)});
  return numbers;
}

std::string device_type() {
  return object_type_of(device_keys());
}

}  // namespace echelon
