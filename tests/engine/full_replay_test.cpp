#include "sim/engine/full_replay.h"

#include "tests/catch.h"
