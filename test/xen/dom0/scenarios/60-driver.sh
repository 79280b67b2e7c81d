# The real driver, without guests: vbds made by hand make it probe.
# shellcheck shell=bash

inside() { node "/bed/inside/$1.js" "${@:2}"; }

# What tells that the driver has opened the device, tells it only afterwards.
scenario opened-cycles
opened_cycles() {
  local said
  image cycles.img 'again and again'
  mount -t tracefs tracefs /sys/kernel/tracing || true
  said=$(inside cycles "$IMAGES/cycles.img" 200 "$BED_DRIVER")
  note "$said"
}

# The kernel's device instead of xenstored's socket, as in a driver domain.
scenario xenstore-device
xenstore_device() {
  local said status=0
  said=$(inside xenstore-device) || status=$?
  echo "$said" >&2
  note "$(grep -E '^# (pass|fail) ' <<<"$said" | tr -d '#\n')"
  [ $status = 0 ] || exit_with_reason "$(grep -m 1 'not ok' <<<"$said")"
}

race() { # ours|xen loop|mapper COUNT RIGHT WRONG
  local said
  said=$(inside race "$@")
  note "$said"
  RACE=$said
}

# Shows that Xen's script loses this race now and then: else nothing would be shown of ours.
lost_by_xen() { # loop|mapper RIGHT WRONG
  local left
  for ((left = 10; left > 0; left--)); do
    race xen "$1" 3 "$2" "$3"
    [[ $RACE == *' 0 another'* ]] || return 0
  done
  exit_with_reason "Xen's script never lost: it was no race"
}

# Files on loop devices, which somebody clears and sets up anew.
scenario race-loop
race_loop() {
  image right.img 'the right one'
  image wrong.img 'another'
  race ours loop 25 "$IMAGES/right.img" "$IMAGES/wrong.img"
  lost_by_xen loop "$IMAGES/right.img" "$IMAGES/wrong.img"
}

scenario race-mapper
race_mapper() {
  local right wrong
  image right.img 'the right one'
  image wrong.img 'another'
  right=$(losetup --show -f "$IMAGES/right.img")
  wrong=$(losetup --show -f "$IMAGES/wrong.img")
  race ours mapper 20 "0 8192 linear $right 0" "0 8192 linear $wrong 0"
  lost_by_xen mapper "0 8192 linear $right 0" "0 8192 linear $wrong 0"
  losetup -d "$right"
  losetup -d "$wrong"
}

# A device whose sequence number is not the one in XenStore: the patched driver refuses it, the stock one
# does not look.
scenario driver-diskseq
driver_diskseq() {
  local device diskseq
  image seq.img 'by its number'
  device=$(losetup --show -f "$IMAGES/seq.img")
  diskseq=$(<"/sys/block/${device#/dev/}/diskseq")
  hand_vbd "7:$(printf %x "${device#/dev/loop}")" "$(printf %x $((diskseq + 1)))"
  case $BED_DRIVER in
    stock) eventually 90 'the driver opens it' hand_attribute ;;
    diskseq)
      eventually 90 'the driver refuses' xenstore-read "$HAND_ERROR"
      expect 'why' '19 creating vbd structure' "$(xenstore-read "$HAND_ERROR")"
      expect 'opened' 0 "$(xenstore-read "$HAND_BACKEND/opened")"
      expect 'state' 5 "$(xenstore-read "$HAND_BACKEND/state")"
      ;;
  esac
  no_hand_vbd
  if [ "$BED_DRIVER" = diskseq ]; then
    # Not as it is written: upper case, a leading zero, too long, nothing at all.
    for text in 1F 01 12345678901234567 ''; do
      hand_vbd "7:$(printf %x "${device#/dev/loop}")" "$text"
      eventually 90 'the driver refuses' xenstore-read "$HAND_ERROR"
      expect "why not '$text'" '22 reading diskseq' "$(xenstore-read "$HAND_ERROR" | sed 's/^-//')"
      no_hand_vbd
    done
    hand_vbd "7:$(printf %x "${device#/dev/loop}")" "$(printf %x "$diskseq")"
    eventually 90 'the driver opens it' hand_attribute
    expect 'opened' 1 "$(xenstore-read "$HAND_BACKEND/opened")"
    no_hand_vbd
  fi
  losetup -d "$device"
}

HAND_BACKEND=$BACKENDS/901/51712
HAND_FRONTEND=/local/domain/901/device/vbd/51712
HAND_ERROR=/local/domain/0/error/backend/vbd/901/51712/error

# A vbd with these two nodes, which the driver reads when it probes.
hand_vbd() { # PHYSICAL-DEVICE DISKSEQ
  xenstore-write "$HAND_FRONTEND/backend" "$HAND_BACKEND" "$HAND_FRONTEND/state" 1 \
    "$HAND_BACKEND/frontend" "$HAND_FRONTEND" "$HAND_BACKEND/frontend-id" 901 \
    "$HAND_BACKEND/mode" w "$HAND_BACKEND/dev" xvda "$HAND_BACKEND/online" 1 \
    "$HAND_BACKEND/diskseq" "$2" "$HAND_BACKEND/physical-device" "$1" "$HAND_BACKEND/state" 1
}

hand_attribute() { [ -e /sys/bus/xen-backend/devices/vbd-901-51712/physical_device ]; }
no_hand_device() { [ ! -e /sys/bus/xen-backend/devices/vbd-901-51712 ]; }

no_hand_vbd() {
  xenstore-rm "$HAND_BACKEND" "$HAND_FRONTEND"
  remove_nodes "$BACKENDS/901" /local/domain/901 "$HAND_ERROR"
  eventually 90 'the driver lets go' no_hand_device
}
