#include "sim/report/result_json.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "sim/report/result_columns.h"

namespace echelon {

namespace {

using Json = nlohmann::ordered_json;

Json categories_to_json(const std::array<Bytes, memory_category_count>& by_category) {
  Json json = Json::object();
  for (const auto& category : enum_names<MemoryCategory>)
    json[std::string(category.name)] = by_category[static_cast<std::size_t>(category.value)].value();
  return json;
}

Json memory_to_json(const MemoryResult& memory) {
  Json stages = Json::array();
  for (const StageMemory& stage : memory.per_stage)
    stages.push_back({{"peak_bytes", stage.peak.value()},
                      {"by_category", categories_to_json(stage.by_category)},
                      {"device_bytes", stage.device.value()},
                      {"capacity_bytes", stage.capacity.value()}});
  return {{"peak_bytes", memory.peak.value()},
          {"by_category", categories_to_json(memory.by_category)},
          {"per_stage", stages},
          {"capacity_bytes", memory.capacity.value()},
          {"host_bytes", memory.host.value()},
          {"host_capacity_bytes", memory.host_capacity.value()},
          {"fits", memory.fits}};
}

Json coverage_to_json(const std::array<double, 3>& coverage) {
  Json json = Json::object();
  for (const auto& ground : enum_names<Ground>)
    json[std::string(ground.name)] = coverage[static_cast<std::size_t>(ground.value)];
  return json;
}

Json ranks_to_json(const RankReplay& ranks) {
  Json json = {{"ranks", ranks.ranks},
               {"runs", ranks.runs},
               {"alike_iteration_time_s", ranks.alike.value()},
               {"iteration_time_s", {{"p5", ranks.p5.value()}, {"p50", ranks.p50.value()}, {"p95", ranks.p95.value()}}},
               {"idle_share", {{"least", ranks.least_idle}, {"mean", ranks.mean_idle}}},
               {"pace", nullptr},
               {"pace_link", nullptr}};
  if (ranks.link)
    json["pace_link"] = {{"from", ranks.link->from},
                         {"to", ranks.link->to},
                         {"held_s", ranks.link->held.value()},
                         {"runs", ranks.link->runs}};
  if (!ranks.pace) return json;
  const RankPlace& at = ranks.pace->place;
  json["pace"] = {{"rank", at.rank},
                  {"coordinates", {{"dp", at.data}, {"tp", at.tensor}, {"pp", at.pipeline}, {"cp", at.context}}},
                  {"lost_s", ranks.pace->lost.value()},
                  {"task", ranks.pace->task},
                  {"delay_s", ranks.pace->delay.value()},
                  {"runs", ranks.pace->runs}};
  return json;
}

Json round_to_json(const LocalRound& round) {
  Json json = {{"groups", round.groups},
               {"steps", round.steps},
               {"fragments", round.fragments},
               {"delay_steps", round.delay},
               {"between_iteration_time_s", round.between.value()},
               {"closing_iteration_time_s", round.closing.value()},
               {"exchange_s", round.exchange.value()},
               {"exposed_s", round.exposed.value()},
               {"sent_bytes", round.sent.value()},
               {"largest_fragment_bytes", round.largest.value()},
               {"peak_bytes_per_s", round.peak_rate().value()},
               {"hiding_bytes_per_s", nullptr}};
  if (const auto rate = round.hiding_rate()) json["hiding_bytes_per_s"] = rate->value();
  return json;
}

Json operators_to_json(const std::vector<OperatorLine>& operators) {
  Json json = Json::array();
  for (const OperatorLine& line : operators)
    json.push_back({{"block", line.block},
                    {"operator", line.name},
                    {"forward_s", line.forward.value()},
                    {"backward_s", line.backward.value()},
                    {"times", line.times},
                    {"ground", std::string(name_of(line.ground))}});
  return json;
}

}  // namespace

nlohmann::ordered_json result_to_json(const Result& result) {
  Json json = Json::object();
  for (const ResultColumn& column : result_columns()) {
    const double value = column.value(result);
    json[std::string(column.name)] = std::isnan(value) ? Json(nullptr) : Json(value);
  }
  Json breakdown = Json::object();
  for (const BreakdownColumn& column : breakdown_columns())
    breakdown[std::string(column.name)] = (result.breakdown.*column.part).value();
  json["time_breakdown_s"] = breakdown;
  json["critical_stage"] = result.critical_stage;
  if (result.alone) json["alone_iteration_time_s"] = result.alone->value();
  if (result.round) json["round"] = round_to_json(*result.round);
  if (result.ranks) json["ranks"] = ranks_to_json(*result.ranks);
  json["memory"] = memory_to_json(result.memory);
  json["coverage"] = coverage_to_json(result.coverage);
  json["operators"] = operators_to_json(result.operators);
  json["bottleneck"] = result.bottleneck;
  json["warnings"] = result.warnings;
  json["provenance"] = {{"profile", result.profile}, {"sources", result.sources}, {"version", ECHELON_VERSION}};
  return json;
}

}  // namespace echelon
