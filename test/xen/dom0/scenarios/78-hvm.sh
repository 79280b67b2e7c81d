# A guest whose disk QEMU serves as well, until the guest has a driver of its own: the BIOS boots from it.
# shellcheck shell=bash

# Its first sector is a program that says the second one, and writes into its second 4096 bytes.
bootable_image() { # NAME TEXT
  cp /boot/boot-sector "$IMAGES/$1"
  echo "$2" | dd of="$IMAGES/$1" bs=512 seek=1 conv=notrunc
  truncate -s 4M "$IMAGES/$1"
}

qemu_of() { pgrep -f "xen-qemu.* -xen-domid $1 "; } # DOMID

# QEMU is told which device that is by physical-device-path, and the vbd has the same one.
scenario hvm
hvm() {
  local domid device
  bootable_image hvm.img 'disk of an HVM guest'
  rm -f "$CONSOLES/guest-full.log"
  configure full hvm "$(disk xvda w "$IMAGES/hvm.img")"
  create full
  domid=$(domid_of full)
  eventually 120 'the guest has written' grep -q '^@written' "$CONSOLES/guest-full.log"
  expect 'what the guest reads' '@ready disk of an HVM guest' \
    "$(tr -d '\r' <"$CONSOLES/guest-full.log" | grep -m 1 '^@')"
  expect_vbd "$domid" 51712
  device=$(xenstore-read "$BACKENDS/$domid/51712/physical-device-path")
  expect_match 'what QEMU has open' "$device( |$)" "$(readlink /proc/"$(qemu_of "$domid")"/fd/* | tr '\n' ' ')"
  BEFORE=$(belongings) refuse 'xen-blkback: .*domain [0-9]+ \(full\)' "$(disk xvda w "$IMAGES/hvm.img")"
  destroy full
  expect 'what the file has then' 'from an HVM guest' "$(note_in "$IMAGES/hvm.img")"
}
