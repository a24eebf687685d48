#include "sim/hardware/profile.h"
