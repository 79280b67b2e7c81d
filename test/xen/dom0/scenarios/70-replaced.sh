# Disks that name no script at all: /etc/xen/scripts/block is ours.
# shellcheck shell=bash

scenario replaced-block
replaced_block_needs() { shared_one; }
replaced_block() {
  local with_guest
  SCRIPT=
  mv /etc/xen/scripts/block /etc/xen/scripts/block.xen
  ln -s block-diskseq /etc/xen/scripts/block
  image e.img 'disk of guest ex'
  image f.img 'by no script'
  configure ex idle "$(disk xvda w "$IMAGES/e.img")"
  create ex
  expect_vbd "$(domid_of ex)" 51712
  with_guest=$(belongings)
  attach one xvdj r "$IMAGES/f.img" 'by no script'
  expect 'the guest writes' refused "$(ask one write xvdj no)"
  detach one xvdj
  nothing_more_than "$with_guest"
  # A file that does not exist is refused by libxl itself here: it looks at disks without a script=.
  BEFORE=$with_guest refuse 'xen-blkback: .*domain [0-9]+ \(ex\)' "$(disk xvda w "$IMAGES/e.img")"
  destroy ex
  rm /etc/xen/scripts/block
  mv /etc/xen/scripts/block.xen /etc/xen/scripts/block
}
