// What other programs call things: for suggestions alone, none of these words is read. Private to the config room.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace echelon {

// The one of `known` that Megatron-LM, torchtitan, DeepSpeed or PyTorch call `word`; case is ignored.
std::optional<std::string> alias_of(std::string_view word, const std::vector<std::string>& known);

// Keys of other sections, with their paths, that these programs keep beside those of the section at `path`.
std::vector<std::string> neighbours_of(std::string_view path);

}  // namespace echelon
