# What scenarios are written with. Sourced by run.
# shellcheck shell=bash

RUN=/run/bed
LOGS=/var/log/bed
IMAGES=/srv
BACKENDS=/local/domain/0/backend/vbd
SCENARIO_TIMEOUT=${SCENARIO_TIMEOUT:-600}
# Seconds in which what a scenario has made must be gone.
CLEARED_WITHIN=${CLEARED_WITHIN:-60}
# The hotplug script that disks name; empty for none, which means /etc/xen/scripts/block.
SCRIPT=${SCRIPT-block-diskseq}
mkdir -p "$RUN" "$LOGS"

SCENARIOS=()
scenario() { SCENARIOS+=("$1"); } # NAME: the function of that name, with _ for -, follows

busybox() { /usr/bin/busybox "$@"; }

# Failing

exit_with_reason() {
  trap - ERR
  # The first reason counts: what follows may only be its consequence.
  [ -e "$RUN/reason" ] || echo "$*" >"$RUN/reason"
  echo "FAILED: $*" >&2
  [ $BASH_SUBSHELL != 0 ] || show_state
  exit 1
}

# The reason is for the report; what else may help goes to the scenario's log.
show_state() {
  set +ex
  xl list
  xenstore-ls -f "$BACKENDS"
  xenstore-ls -f /local/domain/0/error
  losetup -a
  dmsetup table
  tail -n 20 /var/log/xen/xen-hotplug.log
  dmesg | tail -n 15
} 2>&1

expect() { # WHAT EXPECTED FOUND
  [ "$2" = "$3" ] || exit_with_reason "$1: '$2' was expected, '$3' found"
}

expect_match() { # WHAT PATTERN TEXT
  [[ $3 =~ $2 ]] || exit_with_reason "$1: something like '$2' was expected, '$3' found"
}

# Adds a line to the report.
note() { echo "$*" >>"$RUN/notes"; }

# Time

exec {NAP}<> <(:)
nap() { read -rt "$1" -u $NAP || true; } # SECONDS, without a process

seconds_since() { # EPOCHREALTIME
  local us=$((${EPOCHREALTIME/./} - ${1/./}))
  printf '%d.%d' $((us / 1000000)) $((us / 100000 % 10))
}

# Until the command succeeds; fails after the deadline, saying what was waited for.
eventually() { # SECONDS WHAT COMMAND…
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt "$deadline" ] || exit_with_reason "$what: waited in vain"
    # There is one processor, for what is waited for too.
    nap 0.5
  done
}

# What there is

bound_loops() {
  local file
  for file in /sys/block/loop*/loop/backing_file; do
    [ ! -e "$file" ] || echo "loop $(<"$file")"
  done
}

mappers() {
  local file
  for file in /sys/block/dm-*/dm/name; do [ ! -e "$file" ] || echo "mapper $(<"$file")"; done
}

# One by one: xenstore-rm removes several in one transaction, and none of them if one is missing.
remove_nodes() { # PATH…
  local path
  for path; do xenstore-rm "$path" 2>/dev/null || true; done
}

# What a scenario must leave as it found it.
belongings() {
  local entry
  bound_loops
  mappers
  for entry in $(xenstore-list /local/domain); do [ "$entry" = 0 ] || echo "domain $entry"; done
  for entry in $(xenstore-list "$BACKENDS" 2>/dev/null || true); do
    # shellcheck disable=SC2046 # on one line
    echo "vbds of $entry:" $(xenstore-list "$BACKENDS/$entry" 2>/dev/null || true)
  done
  for entry in /sys/bus/xen-backend/devices/vbd-* /run/xen-blkback/vbd-*; do
    [ ! -e "$entry" ] || echo "$entry"
  done
}

nothing_more_than() { # BELONGINGS
  local deadline=$((SECONDS + CLEARED_WITHIN))
  until [ "$(belongings)" = "$1" ]; do
    [ $SECONDS -lt $deadline ] || exit_with_reason "left behind: $(difference "$1" "$(belongings)")"
    nap 0.3
  done
}

# Lines of the second text that are not in the first, then of the first that are not in the second.
difference() {
  { grep -vxF -e "$1" <<<"$2" | sed 's/^/+/'; grep -vxF -e "$2" <<<"$1" | sed 's/^/-/'; } |
    tr '\n' ' '
}

# Runs a scenario: its body, then that nothing is left. What NAME_needs makes is there before, and stays;
# a body that ends it sets BEFORE to what there was earlier.
run_scenario() { # NAME
  local body=${1//-/_}
  [ "$(type -t "$body")" = function ] || exit_with_reason "there is no scenario $1"
  [ "$(type -t "${body}_needs")" != function ] || "${body}_needs"
  BEFORE=$(belongings)
  echo "$BEFORE" >"$RUN/before"
  set -x
  "$body"
  { set +x; } 2>/dev/null
  nothing_more_than "$BEFORE"
}

# Disks

# A file whose first line is its text; 4 MiB.
image() { # NAME TEXT
  echo "$2" >"$IMAGES/$1"
  truncate -s 4M "$IMAGES/$1"
}

# First line of the second 4096 bytes of a file: what a guest has written there.
note_in() { dd if="$1" bs=4096 skip=1 count=1 2>/dev/null | head -n 1 | tr -d '\0'; }

# One disk of an xl configuration. target= is last: it takes all that follows, commas too.
disk() { # VDEV r|w TARGET
  local access=rw
  [ "$2" = w ] || access=ro
  echo "${SCRIPT:+script=$SCRIPT,}vdev=$1,access=$access,target=$3"
}

# A vbd is attached as it should: connected, and its nodes say what the driver has open.
expect_vbd() { # DOMID DEVID
  local path=$BACKENDS/$1/$2 open
  open=$(<"/sys/bus/xen-backend/devices/vbd-$1-$2/physical_device")
  expect 'hotplug-status' connected "$(xenstore-read "$path/hotplug-status")"
  expect 'physical-device' "$open" "$(xenstore-read "$path/physical-device")"
  expect 'diskseq' "$(diskseq_hex "$open")" "$(xenstore-read "$path/diskseq")"
  case $BED_DRIVER in
    diskseq) expect 'opened' 1 "$(xenstore-read "$path/opened")" ;;
    stock) expect 'opened' '' "$(xenstore-read "$path/opened" 2>/dev/null || true)" ;;
  esac
}

# The sequence number, as XenStore has it, of the disk that has a number, as XenStore has it.
diskseq_hex() { # HEX:HEX
  printf %x "$(<"/sys/dev/block/$((16#${1%:*})):$((16#${1#*:}))/diskseq")"
}
