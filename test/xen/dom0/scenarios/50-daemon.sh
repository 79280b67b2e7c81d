# With the daemon, without it, and with one that dies; killed scripts and xl's own patience.
# shellcheck shell=bash

SOCKET=/run/xen-blkback/control.sock

start_daemon() {
  xen-blkback daemon --verbose >"$LOGS/daemon.log" 2>&1 &
  DAEMON=$!
  eventually 120 'the daemon listens' test -S "$SOCKET"
  eventually 120 'the daemon is ready' grep -q ready "$LOGS/daemon.log"
}

stop_daemon() {
  kill "$DAEMON"
  wait "$DAEMON" || exit_with_reason "the daemon ended with status $?"
}

# The daemon attaches, unasked; what the script has to do is fetch the answer.
scenario daemon
daemon() {
  local domid
  image daemon.img 'by the daemon'
  start_daemon
  configure daemonic idle "$(disk xvda w "$IMAGES/daemon.img")"
  create daemonic
  domid=$(domid_of daemonic)
  expect_vbd "$domid" 51712
  grep -q "$domid/51712: connected" "$LOGS/daemon.log" || exit_with_reason 'it was not the daemon'
  destroy daemonic
  nothing_more_than "$BEFORE"
  refuse 'script: .*nowhere.img' "$(disk xvda w "$IMAGES/nowhere.img")"
  stop_daemon
}

# The client does the work itself when the daemon dies under it.
scenario daemon-killed
daemon_killed() {
  local creation
  image killed.img 'whoever attaches it'
  start_daemon
  configure survivor idle "$(disk xvda w "$IMAGES/killed.img")"
  create survivor &
  creation=$!
  await_loop_of killed.img
  kill -KILL "$DAEMON"
  wait "$creation" || exit_with_reason "xl create failed with status $?"
  wait "$DAEMON" || true
  expect_vbd "$(domid_of survivor)" 51712
  destroy survivor
  rm -f "$SOCKET"
}

# Spins, so as to be there within a time slice: a nap would be too long.
await_loop_of() { # FILE
  local deadline=$((SECONDS + 60)) file
  { set +x; } 2>/dev/null
  while [ $SECONDS -lt $deadline ]; do
    for file in /sys/block/loop*/loop/backing_file; do
      [ -e "$file" ] && [ "$(<"$file")" = "$IMAGES/$1" ] && { set -x; return; }
    done
  done
  exit_with_reason "$1 never got a loop device"
}

# Waits for the hotplug script that xl runs, whose number stays the same whatever it becomes by exec. It
# is found before there is anything to wait for: then a kill comes within a time slice of that.
await_script() {
  eventually 90 'the script runs' script_runs
}

# Of the processes of one script the oldest is the one that xl runs. The others may end at any moment.
script_runs() { SCRIPT_PID=$(pgrep -o -f 'block-diskseq.cjs add|scripts/block(-diskseq)? add'); }

# The script is killed when it has the loop device and has not done with it: xl create fails, and the
# loop device goes with the process.
scenario leak-after-kill
leak_after_kill() {
  local round creation
  image leak.img 'must not leak'
  for ((round = 1; round <= 2; round++)); do
    configure leaking idle "$(disk xvda w "$IMAGES/leak.img")"
    create leaking &
    creation=$!
    await_script
    await_loop_of leak.img
    kill -KILL "$SCRIPT_PID" || true
    if wait "$creation"; then
      note "round $round: the script was faster"
      destroy leaking
    fi
    eventually 90 'end of the domain' gone leaking
    nothing_more_than "$BEFORE"
  done
}

# A script that hangs is killed by xl, after 40 s and without a word.
scenario xl-timeout
xl_timeout() {
  local creation start=$SECONDS
  image slow.img 'too slow'
  configure slow idle "$(disk xvda w "$IMAGES/slow.img")"
  create slow &
  creation=$!
  await_script
  await_loop_of slow.img
  kill -STOP "$SCRIPT_PID"
  if wait "$creation"; then exit_with_reason 'xl create did not fail'; fi
  [ $((SECONDS - start)) -ge 35 ] || exit_with_reason "it failed after $((SECONDS - start)) s already"
  eventually 90 'end of the domain' gone slow
}

# xenstored is replaced while it runs, and keeps what it has: nodes, watches and connections. A disk is being
# attached meanwhile.
scenario xenstored-live-update
xenstored_live_update() {
  local domid attachment process place
  image before.img 'before the update'
  image during.img 'during the update'
  image after.img 'after the update'
  start_daemon
  configure updated idle "$(disk xvda w "$IMAGES/before.img")"
  create updated
  domid=$(domid_of updated)
  process=$(pgrep -o xenstored)
  place=$(head -n 1 "/proc/$process/maps")
  xl block-attach updated "$(disk xvdb w "$IMAGES/during.img")" &
  attachment=$!
  ${SPOILED_BY:-xenstore-control live-update} /usr/lib/xen-*/bin/xenstored
  wait "$attachment" || exit_with_reason "xl block-attach failed with status $?"
  xl block-attach updated "$(disk xvdc w "$IMAGES/after.img")"
  # A program that was executed again lies elsewhere in memory.
  expect 'the process' "$process" "$(pgrep -o xenstored)"
  [ "$(head -n 1 "/proc/$process/maps")" != "$place" ] || exit_with_reason 'it is the same xenstored'
  for devid in 51712 51728 51744; do
    expect_vbd "$domid" $devid
    grep -q "$domid/$devid: connected" "$LOGS/daemon.log" || exit_with_reason "$devid was not the daemon's"
  done
  destroy updated
  nothing_more_than "$BEFORE"
  stop_daemon
}
