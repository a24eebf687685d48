#include "sim/cost/price.h"

namespace echelon {

Seconds Price::device() const {
  Seconds sum = compute + recompute + host_copy + idle;
  for (const Seconds& part : exposed) sum += part;
  return sum;
}

Price& Price::operator+=(const Price& other) {
  compute += other.compute;
  recompute += other.recompute;
  for (std::size_t i = 0; i < exposed.size(); ++i) exposed[i] += other.exposed[i];
  host_copy += other.host_copy;
  idle += other.idle;
  host += other.host;
  launches += other.launches;
  flops += other.flops;
  for (std::size_t i = 0; i < by_ground.size(); ++i) by_ground[i] += other.by_ground[i];
  for (const LayerTraffic& sent : other.traffic) add_traffic(traffic, sent);
  return *this;
}

Price Price::scaled(double factor) const {
  Price price = *this;
  price.compute *= factor;
  price.recompute *= factor;
  for (Seconds& part : price.exposed) part *= factor;
  price.host_copy *= factor;
  price.idle *= factor;
  price.host *= factor;
  price.launches *= factor;
  price.flops *= factor;
  for (Seconds& part : price.by_ground) part *= factor;
  for (LayerTraffic& sent : price.traffic) sent = sent.scaled(factor);
  return price;
}

}  // namespace echelon
