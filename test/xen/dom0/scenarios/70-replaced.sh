# Disks that name no script at all: /etc/xen/scripts/block is ours.
# shellcheck shell=bash

scenario replaced-block
replaced_block() {
  SCRIPT=
  mv /etc/xen/scripts/block /etc/xen/scripts/block.xen
  ln -s block-diskseq /etc/xen/scripts/block
  image e.img 'disk of guest ex'
  image f.img 'second disk of guest ex'
  start_guest ex "$(disk xvda w "$IMAGES/e.img")"
  expect 'what the guest reads' 'disk of guest ex' "$(ask ex head xvda)"
  expect_vbd "$(domid_of ex)" 51712
  attach ex xvdb r "$IMAGES/f.img" 'second disk of guest ex'
  expect 'the guest writes' refused "$(ask ex write xvdb no)"
  detach ex xvdb
  local with_guest=$BEFORE
  BEFORE=$(belongings)
  # A file that does not exist is refused by libxl itself here: it looks at disks without a script=.
  refuse 'script: .*domain [0-9]+ \(ex\)' "$(disk xvda w "$IMAGES/e.img")"
  BEFORE=$with_guest
  tell ex poweroff
  eventually 90 'end of the guest' gone ex
  nothing_more_than "$BEFORE"
  rm /etc/xen/scripts/block
  mv /etc/xen/scripts/block.xen /etc/xen/scripts/block
}
