# A scenario breaks when it should: without what it tests, it fails.
# shellcheck shell=bash

# Runs another scenario, which must fail for a reason like the pattern, and takes away what it leaves.
fails() { # NAME PATTERN
  local status=0
  env SCRIPT="$SCRIPT" SPOILED_BY="${SPOILED_BY-}" ${DEFERRED+DEFERRED="$DEFERRED"} CLEARED_WITHIN=10 "$BASH" /bed/run --one "$1" >"$LOGS/$1-control.log" 2>&1 || status=$?
  [ $status != 0 ] || exit_with_reason "$1 passes, although it must not"
  expect_match "why $1 fails" "$2" "$(cat "$RUN/reason")"
  note "$1 fails as it should: $(cat "$RUN/reason")"
  rm "$RUN/reason"
  take_away "$BEFORE" || true
}

# The program as it is installed, with the comparison after the open taken out, in place of it.
scenario control-diskseq-unchecked
control_diskseq_unchecked() {
  local program=/usr/lib/xen-blkback/dist/code/block-diskseq.cjs patched=$RUN/unchecked.cjs
  sed 's/expected *=== *void 0 *|| *expected *=== *found/true/' "$program" >"$patched"
  if cmp -s "$program" "$patched"; then exit_with_reason 'the comparison was not found'; fi
  mount --bind "$patched" "$program"
  fails wrong-diskseq 'a guest was made'
  umount "$program" 2>/dev/null || true
}

# Xen's block is killed where it has bound the file and is about to write which device that is: a program in
# the place of xenstore-write does it, or the scenario itself does, which needs a moment to see the script.
scenario control-xen-block-leaks
control_xen_block_leaks() {
  local program=/usr/bin/xenstore-write
  mkdir -p "$RUN/real"
  cp -L "$program" "$RUN/real/"
  cat >"$RUN/deadly" <<END
#!/bin/bash
[[ \$1 != */node ]] || { sleep 5; pkill -KILL -f '/etc/xen/scripts/block add'; exit 1; }
exec $RUN/real/xenstore-write "\$@"
END
  chmod +x "$RUN/deadly"
  mount --bind "$RUN/deadly" "$program"
  SCRIPT=block fails leak-after-kill 'left behind: .*loop'
  umount "$program" 2>/dev/null || true
}

scenario control-xen-block-shares
control_xen_block_shares() {
  SCRIPT=block fails double-writer 'two guests may write one file'
}

scenario control-restored-disk-is-another
control_restored_disk_is_another() {
  SPOILED_BY=write_over fails save-restore "what the guest reads: .*'another disk' found"
}
write_over() { echo 'another disk' | dd of="$IMAGES/$1" conv=notrunc; } # IMAGE

scenario control-another-machine
control_another_machine() {
  SPOILED_BY=true fails migrate 'the other end cannot have the disks: .*domain [0-9]+ \(life\)'
}

scenario control-mapper-stays
control_mapper_stays() {
  DEFERRED='' fails migrate 'left behind: .*mapper passing'
}

scenario control-not-grown
control_not_grown() {
  SPOILED_BY=true fails grow 'the guest sees the new size'
}

scenario control-awake
control_awake() {
  SPOILED_BY=true fails pause 'has let go of a disk'
}

# Xen's block passes here: its remove waits until its add is done. So somebody else has the loop device open.
scenario control-held-loop-outlives
control_held_loop_outlives() {
  SPOILED_BY=hold_loop_of fails destroy-while-attaching 'left behind: .*loop'
  kill "$(<"$RUN/holder")"
}
hold_loop_of() { # IMAGE
  sleep 1000 <"$(losetup -n -O NAME -j "$IMAGES/$1")" &
  echo $! >"$RUN/holder"
}

scenario control-xen-block-shares-with-dom0
control_xen_block_shares_with_dom0() {
  SCRIPT=block fails dom0-itself 'a guest may write what dom0 has'
}

# Xen's block takes a file that is missing for a drive without a medium.
scenario control-xen-block-says-nothing
control_xen_block_says_nothing_needs() { shared_driver; }
control_xen_block_says_nothing() {
  SCRIPT=block fails driver-domain-fails 'its (status|sentence):'
}

scenario control-not-updated
control_not_updated() {
  SPOILED_BY=true fails xenstored-live-update 'it is the same xenstored'
}

scenario control-stub-is-another
control_stub_is_another_needs() { shared_driver; }
control_stub_is_another() {
  SPOILED_BY=same-vm=check fails driver-domain-stub 'it is refused: .*others use the same bytes'
  change_there
}

scenario control-driver-domain-lost
control_driver_domain_lost_needs() { shared_driver; }
control_driver_domain_lost() {
  SPOILED_BY=poweroff fails driver-domain-reboot 'a new driver domain: waited in vain'
  expect_end_of driver
}
