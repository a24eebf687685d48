#include "sim/sweep/row_message.h"

#include <cstring>
#include <type_traits>

#include "sim/base/error.h"

namespace echelon {

namespace {

template <class Number>
void put(std::string& message, Number number) {
  static_assert(std::is_arithmetic_v<Number>);
  message.append(reinterpret_cast<const char*>(&number), sizeof number);
}

class MessageReader {
 public:
  explicit MessageReader(const std::string& message) : message_(message) {}

  template <class Number>
  Number number() {
    Number value{};
    std::memcpy(&value, bytes(sizeof value), sizeof value);
    return value;
  }
  std::string text() {
    const auto size = number<std::size_t>();
    return {bytes(size), size};
  }
  bool at_end() const { return at_ == message_.size(); }

 private:
  const char* bytes(std::size_t count) {
    SIM_CHECK(count <= message_.size() - at_, "a message of {} bytes is cut off at {}", message_.size(), at_);
    at_ += count;
    return message_.data() + at_ - count;
  }

  const std::string& message_;
  std::size_t at_ = 0;
};

}  // namespace

std::string message_of(const RangeRows& result) {
  std::string message;
  put(message, result.range.first);
  put(message, result.range.last);
  for (const Row& row : result.rows) {
    put(message, row.point);
    put(message, static_cast<std::int32_t>(row.status));
    put(message, row.reason.size());
    message += row.reason;
    put(message, row.values.size());
    for (const double value : row.values) put(message, value);
  }
  return message;
}

RangeRows rows_of_message(const std::string& message, const Space& space) {
  MessageReader reader(message);
  RangeRows result;
  result.range.first = reader.number<std::int64_t>();
  result.range.last = reader.number<std::int64_t>();
  while (!reader.at_end()) {
    Row row;
    row.point = reader.number<std::int64_t>();
    row.digits = space.digits(row.point);
    row.status = static_cast<PointStatus>(reader.number<std::int32_t>());
    row.reason = reader.text();
    row.values.resize(reader.number<std::size_t>());
    for (double& value : row.values) value = reader.number<double>();
    result.rows.push_back(std::move(row));
  }
  return result;
}

}  // namespace echelon
