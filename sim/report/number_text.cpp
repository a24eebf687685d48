#include "sim/report/number_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace echelon {

namespace {

bool continues_code_point(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

std::string clipped(const std::string& text, std::size_t width) {
  if (cells_of(text) <= width) return text;
  std::size_t cells = 0;
  std::size_t end = 0;
  while (end < text.size() && (cells + 1 < width || continues_code_point(text[end])))
    if (!continues_code_point(text[end++])) ++cells;
  while (end < text.size() && continues_code_point(text[end])) ++end;
  return text.substr(0, end) + "…";
}

}  // namespace

std::string duration(Seconds time) {
  const double s = time.value();
  if (s >= 1) return fmt::format("{:.3f} s", s);
  if (s >= 1e-3) return fmt::format("{:.2f} ms", s * 1e3);
  return fmt::format("{:.1f} us", s * 1e6);
}

std::string grouped(double value) {
  std::string digits = fmt::format("{:.0f}", value);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

std::string bar(double share, int width) {
  static const char* const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const int parts = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * width * 8));
  std::string text;
  for (int i = 0; i < parts / 8; ++i) text += "█";
  text += eighths[parts % 8];
  const int used = parts / 8 + (parts % 8 > 0 ? 1 : 0);
  return text + std::string(static_cast<std::size_t>(width - used), ' ');
}

std::size_t cells_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char byte) { return !continues_code_point(byte); }));
}

std::string to_the_right(const std::string& text, std::size_t width) {
  const std::string kept = clipped(text, width);
  return std::string(width - cells_of(kept), ' ') + kept;
}

std::string to_the_left(const std::string& text, std::size_t width) {
  const std::string kept = clipped(text, width);
  return kept + std::string(width - cells_of(kept), ' ');
}

}  // namespace echelon
