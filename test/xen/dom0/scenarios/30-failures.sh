# What xl create says and leaves when a disk cannot be had.
# shellcheck shell=bash

# Fails to create a guest with these disks; xl must say something like the pattern.
refuse() { # PATTERN DISK…
  local said pattern=$1
  shift
  configure refused idle "$@"
  said=$(create refused 2>&1) && exit_with_reason "a guest was made with $*"
  expect_match 'what xl says' "$pattern" "$said"
  eventually 90 'end of the domain' gone refused
  nothing_more_than "$BEFORE"
}

scenario missing-file
missing_file() {
  refuse 'script: .*nowhere.img' "$(disk xvda w "$IMAGES/nowhere.img")"
}

# A second disk that fails takes the first, which had been attached, with it.
scenario second-disk-missing
second_disk_missing() {
  image first.img first
  refuse 'script: .*nowhere.img' "$(disk xvda w "$IMAGES/first.img")" \
    "$(disk xvdb w "$IMAGES/nowhere.img")"
}

# A loop device that has passed to another file since somebody noted its number.
scenario wrong-diskseq
wrong_diskseq() {
  local device diskseq
  image wrong.img 'another disk by now'
  device=$(losetup --show -f "$IMAGES/wrong.img")
  diskseq=$(<"/sys/block/${device#/dev/}/diskseq")
  BEFORE=$(belongings) refuse "script: .*diskseq $((diskseq - 1)) was expected, $diskseq found" \
    "$(disk xvda w "path=$device,diskseq=$((diskseq - 1))")"
  losetup -d "$device"
}

scenario read-only-device
read_only_device() {
  local device
  image ro.img 'to be read only'
  device=$(losetup --show -r -f "$IMAGES/ro.img")
  BEFORE=$(belongings) refuse 'script: .*read-only' "$(disk xvda w "$device")"
  losetup -d "$device"
}

scenario target-not-understood
target_not_understood() {
  image plain.img plain
  refuse 'script: .*colour' "$(disk xvda w "path=$IMAGES/plain.img,colour=blue")"
}

# The kernel's words about a predecessor of the same number must not be taken for an answer.
scenario stale-nodes
stale_nodes() {
  local next path
  next=$(($(last_domid) + 1))
  path=$BACKENDS/$next/51712
  xenstore-write "/local/domain/0/error/backend/vbd/$next/51712/error" '2 creating vbd structure' \
    "$path/physical-device" 7:7f "$path/hotplug-status" connected "$path/diskseq" 1
  image stale.img 'stale'
  configure stale idle "$(disk xvda w "$IMAGES/stale.img")"
  create stale
  expect 'the domid that was foreseen' "$next" "$(domid_of stale)"
  expect_vbd "$next" 51712
  destroy stale
}

# Xen numbers domains one after another.
last_domid() {
  configure probe idle
  create probe >/dev/null
  domid_of probe
  destroy probe
}
