// The table of devices that nccl-tests prints before its rows:
//   #  Rank  0 Group  0 Pid  2574 on  HOST device  0 [0000:0f:00] NVIDIA A100-SXM4-40GB
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace echelon {

class NcclDeviceTable {
 public:
  // Takes a line of the table; false for any other line.
  bool add(std::string_view line);

  bool empty() const { return lines_.empty(); }
  // The highest rank and one more: lines may have been left out. 0 = no table.
  std::int64_t ranks() const;
  // 0 = the table does not tell.
  std::int64_t ranks_per_node() const;
  std::vector<std::string> hosts() const;
  std::string device() const { return lines_.empty() ? "" : lines_.front().name; }

 private:
  struct Line {
    std::int64_t rank = 0;
    std::int64_t device = 0;
    std::string host;
    std::string name;
  };
  std::vector<Line> lines_;
};

}  // namespace echelon
