// What a precompiled header needs to be made: a source file (sim/CMakeLists.txt).
