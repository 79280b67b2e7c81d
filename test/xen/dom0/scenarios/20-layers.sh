# Mapper devices and layers over files, given to a running guest.
# shellcheck shell=bash

# A linear mapper device over a loop device, as a logical volume is; with a UUID.
make_mapper() { # NAME UUID TEXT
  local device
  image "$1.img" "$3"
  device=$(losetup --show -f "$IMAGES/$1.img")
  dmsetup create "$1" --uuid "$2" --table "0 8192 linear $device 0"
  # The mapper holds it; it goes with the mapper.
  losetup -d "$device"
  dmsetup mknodes
}

scenario mapper-by-name-and-uuid
mapper_by_name_and_uuid_needs() { shared_one; }
mapper_by_name_and_uuid() {
  local target
  make_mapper guest-root LVM-bed-0001 'volume of guest one'
  local with_volume
  with_volume=$(belongings)
  for target in dm-name=guest-root dm-uuid=LVM-bed-0001 /dev/mapper/guest-root; do
    attach one xvdf w "$target" 'volume of guest one'
    expect_vbd "$(domid_of one)" 51792
    expect 'the guest writes' written "$(ask one write xvdf "$target")"
    detach one xvdf
    expect 'what the volume has then' "$target" "$(note_in "$IMAGES/guest-root.img")"
    # It is the administrator's: it stays.
    nothing_more_than "$with_volume"
  done
  dmsetup remove guest-root
}

scenario deferred-remove
deferred_remove_needs() { shared_one; }
deferred_remove() {
  make_mapper scratch LVM-bed-0002 'volume that goes'
  attach one xvdg w 'dm-name=scratch,deferred-remove=yes' 'volume that goes'
  # Nobody has to be there to do it: the kernel removes it when blkback closes it.
  detach one xvdg
}

scenario layer-linear
layer_linear_needs() { shared_one; }
layer_linear() {
  local device swapped
  image base.img 'below a layer'
  device=$(losetup --show -f "$IMAGES/base.img")
  attach one xvdh w "path=$device,layer=linear" 'below a layer'
  expect 'the guest writes' written "$(ask one write xvdh 'through a layer')"
  # The layer claims what it stands on: a swap area, which would claim it too, cannot be made of it.
  swapped=$(busybox mkswap "$device" >/dev/null && busybox swapon "$device" 2>&1) &&
    exit_with_reason "$device could be claimed while the guest has it"
  expect_match 'why it cannot be claimed' busy "$swapped"
  detach one xvdh
  losetup -d "$device"
  expect 'what the file has then' 'through a layer' "$(note_in "$IMAGES/base.img")"
}

# What the guest writes comes back to it, and is in the file as noise.
scenario layer-crypt
layer_crypt_needs() { shared_one; }
layer_crypt() {
  image swap.img 'plain text below'
  xl block-attach one "$(disk xvdi w "path=$IMAGES/swap.img,layer=crypt")"
  eventually 90 'the disk appears' has_disk one xvdi
  expect 'the guest writes' written "$(ask one write xvdi 'nobody is to see this')"
  expect 'what it reads' 'nobody is to see this' "$(ask one note xvdi)"
  detach one xvdi
  if grep -aq 'nobody is to see this' "$IMAGES/swap.img"; then exit_with_reason 'it is in the file'; fi
  [ "$(tr -d '\0' <"$IMAGES/swap.img" | wc -c)" -gt 4000 ] || exit_with_reason 'the file was not written'
}
