#!/bin/sh
# The channel with deaths at random: a storm of 10,000 kills. Then the same, shorter, with a planted fault (in
# src/channel/message.rs), which must be found. FORQ_KILLS sets how many. Exits 0 only if all held.
set -eu
cd "$(dirname "$0")/.."
. verification/find_fault.sh

FORQ_KILLS="${FORQ_KILLS:-10000}" cargo test --quiet --release --test channel_faults -- storm

# A message is published before it was written.
find_fault early_commit channel_faults "was expected" storm
exit $missed
