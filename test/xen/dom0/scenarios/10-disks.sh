# What a guest reads and writes on its disks, from those that it boots with to those that come and go.
# shellcheck shell=bash

# Three disks: one to write, one to read only, and a window of a file with 4096-byte sectors.
shared_one() {
  gone one || return 0
  image a.img 'disk a of guest one'
  image b.img 'disk b of guest one'
  { head -c 1M /dev/zero; echo 'disk c of guest one'; } >"$IMAGES/c.img"
  truncate -s 4M "$IMAGES/c.img"
  shared_guest one "$(disk xvda w "$IMAGES/a.img")" "$(disk xvdb r "$IMAGES/b.img")" \
    "$(disk xvdc w "path=$IMAGES/c.img,offset=1048576,size=2097152,block-size=4096")"
}

scenario file-disk
file_disk_needs() { shared_one; }
file_disk() {
  expect 'what the guest reads' 'disk a of guest one' "$(ask one head xvda)"
  expect 'size in sectors' 8192 "$(ask one size xvda)"
  expect 'the guest writes' written "$(ask one write xvda 'from guest one')"
  expect 'what the file has then' 'from guest one' "$(note_in "$IMAGES/a.img")"
  expect_vbd "$(domid_of one)" 51712
}

scenario two-disks
two_disks_needs() { shared_one; }
two_disks() {
  expect 'the first disk' 'disk a of guest one' "$(ask one head xvda)"
  expect 'the third disk' 'disk c of guest one' "$(ask one head xvdc)"
  expect 'size of the window' 4096 "$(ask one size xvdc)"
  expect 'its sectors' 4096 "$(ask one sector xvdc)"
}

scenario read-only-disk
read_only_disk_needs() { shared_one; }
read_only_disk() {
  expect 'what the guest reads' 'disk b of guest one' "$(ask one head xvdb)"
  expect 'it knows' 1 "$(ask one ro xvdb)"
  expect 'the guest writes' refused "$(ask one write xvdb 'must not arrive')"
  expect 'what the file has then' '' "$(note_in "$IMAGES/b.img")"
}

scenario block-attach
block_attach_needs() { shared_one; }
block_attach() {
  local round
  image d.img 'disk d of guest one'
  for round in 1 2; do
    attach one xvdd w "$IMAGES/d.img" 'disk d of guest one'
    expect 'the guest writes' written "$(ask one write xvdd "round $round")"
    detach one xvdd
    expect 'what the file has then' "round $round" "$(note_in "$IMAGES/d.img")"
    nothing_more_than "$BEFORE"
  done
}

# libxl runs no remove then, and leaves the nodes: nothing else may be left, and a new try must work.
scenario failing-block-attach
failing_block_attach_needs() { shared_one; }
failing_block_attach() {
  local said loops
  loops=$(bound_loops)
  said=$(xl block-attach one "$(disk xvde w "$IMAGES/missing.img")" 2>&1) &&
    exit_with_reason 'a file that does not exist was attached'
  expect_match 'what xl says' 'script: .*missing.img' "$said"
  expect 'loop devices' "$loops" "$(bound_loops)"
  xl block-detach one xvde || true
  nothing_more_than "$BEFORE"
  image missing.img 'no longer missing'
  attach one xvde w "$IMAGES/missing.img" 'no longer missing'
  detach one xvde
  rm "$IMAGES/missing.img"
}

# Attaches a disk to a running guest, which then reads the text there.
attach() { # NAME VDEV r|w TARGET TEXT
  xl block-attach "$1" "$(disk "$2" "$3" "$4")"
  eventually 90 "$2 appears in guest $1" has_disk "$1" "$2"
  expect "what guest $1 reads" "$5" "$(ask "$1" head "$2")"
}

detach() { # NAME VDEV
  xl block-detach "$1" "$2"
  eventually 90 "$2 disappears from guest $1" lacks_disk "$1" "$2"
}
