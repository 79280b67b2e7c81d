# Two guests and one disk.
# shellcheck shell=bash

# A second guest that is to write what guest one writes is refused. Of hotplug-error, which the guest can
# read, xl says that others have it; the script says who.
scenario double-writer
double_writer() {
  local said
  image shared.img 'for one only'
  configure first idle "$(disk xvda w "$IMAGES/shared.img")"
  configure second idle "$(disk xvda w "$IMAGES/shared.img")"
  create first
  said=$(create second 2>&1) && exit_with_reason 'two guests may write one file'
  echo "$said"
  [ -z "$SCRIPT" ] || [ "$SCRIPT" = block ] ||
    {
      expect_match 'what xl says' 'script: .*others use the same bytes' "$said"
      expect_match 'what the script says' 'xen-blkback: .*domain [0-9]+ \(first\)' "$said"
    }
  eventually 90 'end of the second' gone second
  destroy first
}

scenario writer-beside-running-guest
writer_beside_running_guest_needs() { shared_one; }
writer_beside_running_guest() {
  refuse 'xen-blkback: .*domain [0-9]+ \(one\)' "$(disk xvda w "$IMAGES/a.img")"
  refuse 'xen-blkback: .*domain [0-9]+ \(one\)' "$(disk xvda r "$IMAGES/a.img")"
  expect 'what the guest reads' 'disk a of guest one' "$(ask one head xvda)"
}

# Guest one reads b.img, and so may others.
scenario readers-share
readers_share_needs() { shared_one; }
readers_share() {
  configure reader idle "$(disk xvda r "$IMAGES/b.img")"
  create reader
  expect_vbd "$(domid_of reader)" 51712
  expect 'what the first guest reads' 'disk b of guest one' "$(ask one head xvdb)"
  # One that would write it is one too many.
  BEFORE=$(belongings) refuse 'xen-blkback: .*b.img' "$(disk xvda w "$IMAGES/b.img")"
  destroy reader
}

# This domain itself uses it: as swap, which claims it.
scenario busy-device
busy_device() {
  local device
  image swap-area.img ''
  device=$(losetup --show -f "$IMAGES/swap-area.img")
  busybox mkswap "$device"
  busybox swapon "$device"
  BEFORE=$(belongings) refuse 'xen-blkback: .*swap' "$(disk xvda w "$device")"
  busybox swapoff "$device"
  losetup -d "$device"
}
