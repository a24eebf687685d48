#include "sim/sweep/point_evaluator.h"

#include <fstream>
#include <sstream>

#include "sim/app/simulate.h"

namespace echelon {

SpaceDocument load_space_document(const std::filesystem::path& file, std::vector<std::string> overrides,
                                  HfReader hf_reader) {
  parse_file(file);  // for its limits and its messages
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return {text.str(), file, std::move(overrides), std::move(hf_reader)};
}

PointEvaluator::PointEvaluator(const SpaceDocument& document)
    : document_(with_overrides(parse_text(document.text, document.file.string()), document.overrides)),
      space_(document_),
      reader_(document_, document.file, document.hf_reader) {}

std::variant<const Scenario*, Infeasible> PointEvaluator::scenario(const std::vector<std::size_t>& digits) {
  try {
    return &reader_.read(space_.assignments(digits));
  } catch (const InputError& error) {
    return Infeasible{error.problem()};
  }
}

std::variant<Result, Infeasible> PointEvaluator::evaluate(const std::vector<std::size_t>& digits) {
  const auto point = scenario(digits);
  if (const auto* refusal = std::get_if<Infeasible>(&point)) return *refusal;
  return simulate(*std::get<const Scenario*>(point));
}

void PointEvaluator::check_values() {
  for (const SpaceAxis& axis : space_.axes())
    for (const AxisValue& value : axis.values) reader_.check(value.assignments);
}

}  // namespace echelon
