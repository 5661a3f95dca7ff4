#!/bin/sh
# The channel with deaths at random: a storm of 10,000 kills. Then the same, shorter, with a planted fault (`forq_fault` in
# src/channel/message.rs), which must be found. FORQ_KILLS sets how many. Exits 0 only if all held.
set -eu
cd "$(dirname "$0")/.."

target="${CARGO_TARGET_DIR:-target}"
FORQ_KILLS="${FORQ_KILLS:-10000}" cargo test --quiet --release --test channel_faults -- storm

# A message is published before it was written. As in queue.sh, a wrapper adds the fault to forq alone.
fault=early_commit
mkdir -p "$target/planted"
here="$(cd "$target/planted" && pwd)"
RUSTC_WORKSPACE_WRAPPER="$here/$fault"
printf '#!/bin/sh\nexec "$@" --cfg forq_fault=\\"%s\\"\n' "$fault" >"$RUSTC_WORKSPACE_WRAPPER"
chmod +x "$RUSTC_WORKSPACE_WRAPPER"
export RUSTC_WORKSPACE_WRAPPER
# A build that fails finds nothing.
cargo test --quiet --release --test channel_faults --no-run
log="$here/$fault.channel_faults.log"
if cargo test --quiet --release --test channel_faults -- storm >"$log" 2>&1; then
    echo "planted fault $fault: NOT FOUND by channel_faults"
elif grep -q "was expected" "$log"; then
    echo "planted fault $fault: found by channel_faults"
    exit 0
else
    echo "planted fault $fault: channel_faults failed for another reason, see $log"
fi
exit 1
