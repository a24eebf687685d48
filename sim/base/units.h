// Strong types for the quantities that cross headers, so that no bare double does.
//
// A Quantity is a double in one fixed SI unit (named at each alias); Time is a signed 64-bit count of
// picoseconds, because the engine's results must be the same bit for bit whatever the order of work.
// Quantities of one kind add and compare; a kind divided by its own kind is a plain ratio; the mixed
// products that physics allows (bytes / rate = duration, ...) are the named functions at the end.
#pragma once

#include <cmath>
#include <compare>
#include <cstdint>

namespace echelon {

template <class Tag>
class Quantity {
 public:
  constexpr Quantity() = default;
  constexpr explicit Quantity(double value) : value_(value) {}

  constexpr double value() const { return value_; }

  constexpr Quantity& operator+=(Quantity other) {
    value_ += other.value_;
    return *this;
  }
  constexpr Quantity& operator-=(Quantity other) {
    value_ -= other.value_;
    return *this;
  }
  constexpr Quantity& operator*=(double factor) {
    value_ *= factor;
    return *this;
  }
  constexpr Quantity& operator/=(double divisor) {
    value_ /= divisor;
    return *this;
  }

  friend constexpr Quantity operator+(Quantity a, Quantity b) { return a += b; }
  friend constexpr Quantity operator-(Quantity a, Quantity b) { return a -= b; }
  friend constexpr Quantity operator-(Quantity a) { return Quantity(-a.value_); }
  friend constexpr Quantity operator*(Quantity a, double factor) { return a *= factor; }
  friend constexpr Quantity operator*(double factor, Quantity a) { return a *= factor; }
  friend constexpr Quantity operator/(Quantity a, double divisor) { return a /= divisor; }
  friend constexpr double operator/(Quantity a, Quantity b) { return a.value_ / b.value_; }
  friend constexpr auto operator<=>(Quantity, Quantity) = default;

 private:
  double value_ = 0;
};

using Bytes = Quantity<struct BytesTag>;        // bytes; fractions arise where shards do not divide
using Flops = Quantity<struct FlopsTag>;        // floating-point operations (a multiply-add is two)
using Seconds = Quantity<struct SecondsTag>;    // a duration before it is rounded to a Time
using ByteRate = Quantity<struct ByteRateTag>;  // bytes per second
using FlopRate = Quantity<struct FlopRateTag>;  // operations per second
using Watts = Quantity<struct WattsTag>;        // joules per second
using Joules = Quantity<struct JoulesTag>;

constexpr Seconds operator/(Bytes amount, ByteRate rate) {
  return Seconds(amount.value() / rate.value());
}
constexpr Seconds operator/(Flops amount, FlopRate rate) {
  return Seconds(amount.value() / rate.value());
}
constexpr Bytes operator*(ByteRate rate, Seconds time) {
  return Bytes(rate.value() * time.value());
}
constexpr Joules operator*(Watts power, Seconds time) {
  return Joules(power.value() * time.value());
}

constexpr Seconds microseconds(double value) {
  return Seconds(value * 1e-6);
}
constexpr Bytes gibibytes(double value) {
  return Bytes(value * 1024.0 * 1024.0 * 1024.0);
}
constexpr ByteRate gigabytes_per_second(double value) {
  return ByteRate(value * 1e9);
}  // 10^9, as vendors and NCCL count
constexpr FlopRate teraflops(double value) {
  return FlopRate(value * 1e12);
}

// A point in simulated time or a span of it, in whole picoseconds (range +-106 days).
class Time {
 public:
  constexpr Time() = default;
  static constexpr Time from_picoseconds(std::int64_t count) {
    Time time;
    time.picoseconds_ = count;
    return time;
  }
  static Time from_seconds(Seconds duration) { return from_picoseconds(std::llround(duration.value() * 1e12)); }
  static constexpr Time max() { return from_picoseconds(INT64_MAX); }

  constexpr std::int64_t picoseconds() const { return picoseconds_; }
  constexpr Seconds seconds() const { return Seconds(static_cast<double>(picoseconds_) * 1e-12); }

  constexpr Time& operator+=(Time other) {
    picoseconds_ += other.picoseconds_;
    return *this;
  }
  constexpr Time& operator-=(Time other) {
    picoseconds_ -= other.picoseconds_;
    return *this;
  }
  friend constexpr Time operator+(Time a, Time b) { return a += b; }
  friend constexpr Time operator-(Time a, Time b) { return a -= b; }
  friend constexpr auto operator<=>(Time, Time) = default;

 private:
  std::int64_t picoseconds_ = 0;
};

}  // namespace echelon
