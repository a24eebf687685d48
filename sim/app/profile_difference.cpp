#include "sim/app/profile_difference.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "sim/config/profile_config.h"
#include "sim/cost/collective.h"
#include "sim/cost/compute.h"

namespace echelon {
namespace {

bool differ(double first, double second) {
  constexpr double digits = 1e-5;
  return std::abs(first - second) > digits * std::max(std::abs(first), std::abs(second));
}

void add_products(std::vector<TimeDifference>& times, const Profile& first, const Profile& second) {
  for (const auto& [type, name] : enum_names<DataType>) {
    if (first.device.peak_of(type).value() <= 0 || second.device.peak_of(type).value() <= 0) continue;
    for (const double size : {1024, 4096, 8192}) {
      const GemmShape shape{size, size, size};
      times.push_back({fmt::format("{} product {} x {} x {}", name, size, size, size),
                       gemm_time(first.device, type, shape).time, gemm_time(second.device, type, shape).time});
    }
  }
}

void add_attention(std::vector<TimeDifference>& times, const Profile& first, const Profile& second) {
  constexpr double heads = 32, head_size = 128;
  for (const double length : {2048, 8192})
    for (const AttentionPass pass : {AttentionPass::forward, AttentionPass::backward}) {
      const auto time = [&](const Profile& profile) {
        AttentionWork work{1, heads, heads, length, length, head_size, head_size, length / 2};
        if (!profile.device.attention.empty()) work.implementation = profile.device.attention.front().implementation;
        return attention_time(profile.device, DataType::bf16, work, pass).time;
      };
      times.push_back({fmt::format("causal attention {} of {} positions, {} heads of {}",
                                   pass == AttentionPass::forward ? "forward" : "backward", length, heads, head_size),
                       time(first), time(second)});
    }
}

void add_memory(std::vector<TimeDifference>& times, const Profile& first, const Profile& second) {
  for (const double mebibytes : {1, 64, 1024}) {
    const auto time = [&](const Profile& profile) {
      return memory_bound_time(profile.device, gibibytes(mebibytes / 1024), 1).time;
    };
    times.push_back({fmt::format("memory-bound kernel of {} MiB", mebibytes), time(first), time(second)});
  }
}

void add_collectives(std::vector<TimeDifference>& times, const Profile& first, const Profile& second) {
  const std::int64_t ranks = std::min(first.network.gpus_per_node, second.network.gpus_per_node);
  if (ranks < 2) return;
  for (const CollectiveKind kind : {CollectiveKind::all_reduce, CollectiveKind::all_gather, CollectiveKind::all_to_all})
    for (const double kibibytes : {16, 1024, 262144}) {
      const CollectiveCall call{kind, {ranks, ranks}, gibibytes(kibibytes / 1048576)};
      times.push_back({fmt::format("{} of {} KiB on {} GPUs", name_of(kind), kibibytes, ranks),
                       collective_time(first.network, call).time, collective_time(second.network, call).time});
    }
}

}  // namespace

bool ProfileDifference::same() const {
  return numbers.empty() && std::none_of(times.begin(), times.end(), [](const TimeDifference& time) {
           return differ(time.first.value(), time.second.value());
         });
}

ProfileDifference difference_of(const Profile& first, const Profile& second) {
  ProfileDifference difference;
  const std::vector<NamedNumber> one = profile_numbers(first), other = profile_numbers(second);
  for (std::size_t i = 0; i < one.size(); ++i)  // both lists are made by the same tables
    if (differ(one[i].value, other[i].value)) difference.numbers.push_back({one[i].key, one[i].value, other[i].value});
  add_products(difference.times, first, second);
  add_attention(difference.times, first, second);
  add_memory(difference.times, first, second);
  add_collectives(difference.times, first, second);
  return difference;
}

}  // namespace echelon
