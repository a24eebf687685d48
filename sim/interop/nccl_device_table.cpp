#include "sim/interop/nccl_device_table.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <set>

namespace echelon {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  const std::size_t first = text.find_first_not_of(blanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// The number right behind a word, with what follows it left in `rest`.
std::optional<std::int64_t> number_after(std::string_view word, std::string_view& rest) {
  const std::size_t at = rest.find(word);
  if (at == std::string_view::npos) return std::nullopt;
  std::string_view tail = rest.substr(at + word.size());
  tail.remove_prefix(std::min(tail.find_first_not_of(' '), tail.size()));
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(tail.data(), tail.data() + tail.size(), value);
  constexpr std::int64_t most = 10'000'000;
  if (error != std::errc() || value < 0 || value > most) return std::nullopt;
  rest = tail.substr(static_cast<std::size_t>(end - tail.data()));
  return value;
}

// The commonest number; the smaller of two that are equally common.
std::int64_t commonest(const std::vector<std::int64_t>& values) {
  std::map<std::int64_t, int> counts;
  for (const std::int64_t value : values) ++counts[value];
  const auto best =
      std::max_element(counts.begin(), counts.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return best == counts.end() ? 0 : best->first;
}

}  // namespace

bool NcclDeviceTable::add(std::string_view line) {
  constexpr std::size_t longest = 1000;
  if (line.size() > longest || line.find(" Pid") == std::string_view::npos) return false;
  std::string_view rest = line;
  const auto rank = number_after("Rank", rest);
  if (!rank) return false;
  const std::size_t on = rest.find(" on ");
  if (on == std::string_view::npos) return false;
  rest.remove_prefix(on + 4);
  const std::size_t word = rest.find("device");
  const std::string_view host = word == std::string_view::npos ? std::string_view{} : trimmed(rest.substr(0, word));
  const auto device = number_after("device", rest);
  if (!device) return false;
  const std::size_t bus = rest.find(']');
  const std::string_view name = bus == std::string_view::npos ? rest : rest.substr(bus + 1);
  lines_.push_back({*rank, *device, std::string(host), std::string(trimmed(name))});
  return true;
}

std::int64_t NcclDeviceTable::ranks() const {
  std::int64_t highest = -1;
  for (const Line& line : lines_) highest = std::max(highest, line.rank);
  return highest + 1;
}

std::vector<std::string> NcclDeviceTable::hosts() const {
  std::vector<std::string> names;
  std::set<std::string_view> seen;
  for (const Line& line : lines_)
    if (!line.host.empty() && seen.insert(line.host).second) names.push_back(line.host);
  return names;
}

std::int64_t NcclDeviceTable::ranks_per_node() const {
  const bool hosts_tell = hosts().size() > 1;
  // A node ends where the host's name changes or, with one name for all, where device numbers start again.
  std::vector<std::int64_t> widths;
  std::int64_t first = 0;
  for (std::size_t i = 1; i < lines_.size(); ++i) {
    const bool next = hosts_tell ? lines_[i].host != lines_[i - 1].host : lines_[i].device <= lines_[i - 1].device;
    if (!next || lines_[i].rank <= first) continue;
    widths.push_back(lines_[i].rank - first);
    first = lines_[i].rank;
  }
  const bool whole = static_cast<std::int64_t>(lines_.size()) == ranks();
  if (widths.empty() && !whole) return 0;
  widths.push_back(ranks() - first);
  return commonest(widths);
}

}  // namespace echelon
