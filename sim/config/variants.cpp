#include "sim/config/variants.h"

#include <fmt/format.h>

#include "sim/config/scenario_keys.h"

namespace echelon {

namespace {

// The document with the section extended by one of its variants.
Value extended(const Value& document, const std::string& section, const Value& variant) {
  std::vector<Assignment> assignments;
  for (const std::string& key : variant.keys())
    if (const auto value = variant.find(key)) assignments.push_back({fmt::format("{}.{}", section, key), *value});
  return with_values(document, assignments);
}

void multiply(std::vector<Variant>& variants, const VariantList& list, const Value& choices) {
  const std::vector<std::string> names = choices.keys();
  if (names.empty()) choices.fail(choices.path() + " is empty", "expected NAME: {KEY: VALUE, ...}");
  std::vector<Variant> product;
  for (const Variant& variant : variants)
    for (const std::string& name : names) {
      const Value choice = choices.at(name);
      const std::string joined = variant.name.empty() ? name : fmt::format("{}, {}", variant.name, name);
      product.push_back({joined, extended(variant.document, std::string(list.section), choice)});
    }
  variants = std::move(product);
}

}  // namespace

std::vector<Variant> variants_of(const Value& document, std::size_t most) {
  std::vector<Variant> variants = {{"", document}};
  for (const VariantList& list : variant_lists) {
    const auto choices = document.find(list.list);
    if (!choices) continue;
    if (choices->is_mapping() && variants.size() * choices->keys().size() > most)
      choices->fail("the lists make more than " + std::to_string(most) + " scenarios", "expected a sweep for so many");
    multiply(variants, list, *choices);
    for (Variant& variant : variants)
      variant.document = with_overrides(variant.document, {std::string(list.list) + "="});
  }
  return variants;
}

}  // namespace echelon
