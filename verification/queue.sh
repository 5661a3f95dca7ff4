#!/bin/sh
# The queue with deaths at random: a storm of 10,000 kills, and 100 histories of 10,000 operations that must be those of a first-in
# first-out queue. Then the same with one planted fault at a time (in src/queue/ring.rs), which must be found.
# FORQ_KILLS and FORQ_HISTORIES set how many. Exits 0 only if all held.
set -eu
cd "$(dirname "$0")/.."
. verification/find_fault.sh

FORQ_KILLS="${FORQ_KILLS:-10000}" cargo test --quiet --release --test queue_faults
FORQ_HISTORIES="${FORQ_HISTORIES:-100}" cargo test --quiet --release --test queue_histories

# Two messages that lie side by side come out the wrong way round, if the second one is there already.
find_fault unordered queue_histories "and got after it"
find_fault unordered queue_faults " after "
# A message is published before it was written.
find_fault early_commit queue_faults torn
exit $missed
