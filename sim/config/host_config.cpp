#include "sim/config/host_config.h"

#include <fmt/format.h>

#include <vector>

#include "sim/config/number_rows.h"

namespace echelon {
namespace {

NumberRows<Host> host_rows() {
  return {quantity_row("link_gb_s", 0.1, 1e4, &Host::link, 1e9,
                       "one GPU to host memory, one direction, pinned copies, achieved"),
          quantity_row("memory_bandwidth_gb_s", 1, 1e5, &Host::memory_bandwidth, 1e9,
                       "of the node's host memory, datasheet"),
          quantity_row("memory_gib", 1, 1e6, &Host::memory, gibibytes(1).value(), "host memory of the node"),
          quantity_row("nvme_read_gb_s", 0.01, 1e4, &Host::nvme_read, 1e9, "of all drives of the node"),
          quantity_row("nvme_write_gb_s", 0.01, 1e4, &Host::nvme_write, 1e9, "of all drives of the node")};
}

std::vector<Key<Host>> host_keys() {
  std::vector<Key<Host>> keys = keys_of(host_rows());
  keys.push_back(text_key<Host>("source", &Host::source, "where the group's numbers come from", Presence::required));
  return keys;
}

}  // namespace

void read_host(const Value& section, Host& host) {
  read_keys(section, host_keys(), host);
}

std::string write_host(const Host& host, int indent) {
  const std::string margin(static_cast<std::size_t>(indent), ' ');
  std::string out;
  for (const NumberRow<Host>& row : host_rows())
    if (row.get(host) > 0) out += fmt::format("{}{}: {:.6g}\n", margin, row.name, row.get(host));
  return out + fmt::format("{}source: {}\n", margin, quoted(host.source));
}

std::string host_type() {
  return object_type_of(host_keys());
}

}  // namespace echelon
