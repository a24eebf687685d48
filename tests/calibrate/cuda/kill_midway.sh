#!/bin/sh
# kill_midway.sh JOURNAL LINES COMMAND...: kills the command once the journal has so many lines. Only that one process is
# killed: a wrapper that starts the program, and does not become it, would leave it running.
journal=$1
lines=$2
shift 2
"$@" &
program=$!
while kill -0 $program 2>/dev/null && [ "$(cat "$journal" 2>/dev/null | wc -l)" -lt "$lines" ]; do sleep 0.05; done
kill -9 $program
wait $program
