// Catch2 2.x (Debian 12) and 3.x (newer systems) behind one include; both give a global Approx.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
