// Links that can hold nobody back need not be told to the flow network.
//
// Every flow has a gate at each end of its route: the first and the last of its hops that are as narrow for it as any,
// capacity over share. Through a gate g go at most its capacity C_g, so through a link l behind gates at most
//   sum over gates of C_g max over flows of (share of l / share of g)
// If that is no more than the link's own capacity, whichever end is looked at, the link never fills before the gates
// do, and rates are the same without it: a fabric of full bandwidth below its adapters, however many ways it spreads
// bytes over. Gates themselves stay.
#pragma once

#include "sim/engine/traffic.h"

namespace echelon {

// Takes such links off all routes. Nothing where routes change during the iteration.
void keep_binding_links(LinkTraffic& traffic);

}  // namespace echelon
