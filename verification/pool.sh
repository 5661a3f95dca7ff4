#!/bin/sh
# The pool's processes killed and stopped at some instructions, or at all with FORQ_EVERY=1; then 1,000 kills at random, of workers and of
# those that share chunks. Then one planted fault at a time (in src/pool), which must be found. FORQ_KILLS sets how many kills. Exits 0 only if all held.
set -eu
cd "$(dirname "$0")/.."
. verification/find_fault.sh

cargo test --quiet --release --test pool_crash_points
for test in pool_faults pool_pieces; do FORQ_KILLS="${FORQ_KILLS:-1000}" cargo test --quiet --release --test $test -- every_item; done

unset FORQ_EVERY FORQ_FROM
# A dead worker's items are counted twice; its chunk is given back to nobody; it is taken for whole, though it had been cut.
find_fault counted_twice pool_crash_points "items are counted twice" killed_at_any_instruction_costs_one_item
find_fault no_give_back pool_crash_points "never: the job has ended" killed_at_any_instruction_costs_one_item
find_fault uncut pool_pieces "item [0-9]+" items_that_fail_in_a_piece
# A piece is offered before it is said where it begins.
find_fault late_place pool_crash_points "item [0-9]+ ran" of_a_cut_or_of_taking
# A worker is killed on a reading alone.
find_fault no_condemn pool_crash_points "nobody else is" stopping_an_item
exit $missed
