// Where the precompiled tests/catch.h is made.
#include "tests/catch.h"
