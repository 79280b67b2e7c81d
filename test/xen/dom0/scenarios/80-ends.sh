# How guests end: whichever way, the kernel and XenStore are as before.
# shellcheck shell=bash

scenario guest-shutdown
guest_shutdown() {
  shared_one
  tell one poweroff
  expect_end_of one
}

# The module goes and comes between two guests.
scenario module-reload
module_reload_needs() {
  gone two || return 0
  busybox rmmod "xen-blkback"
  expect 'the driver' '' "$(ls -d /sys/bus/xen-backend/drivers/vbd 2>/dev/null || true)"
  busybox insmod "/lib/modules/xen-blkback-$BED_DRIVER.ko"
  image two.img 'disk of guest two'
  shared_guest two "$(disk xvda w "$IMAGES/two.img")"
}
module_reload() {
  expect 'what the guest reads' 'disk of guest two' "$(ask two head xvda)"
  expect_vbd "$(domid_of two)" 51712
}

scenario guest-crash
guest_crash() {
  image two.img 'disk of guest two'
  shared_guest two "$(disk xvda w "$IMAGES/two.img")"
  tell two crash
  expect_end_of two
}

# A new domain, with the same disks; of the old one nothing is left.
scenario guest-reboot
guest_reboot_needs() { shared_reboot; }
guest_reboot() {
  local old new
  old=$(domid_of reboot)
  expect 'the guest writes' written "$(ask reboot write xvda 'before the reboot')"
  tell reboot reboot
  # xl itself, which stays behind for that, makes the new domain.
  eventually 120 'a new domain' another_domid reboot "$old"
  await_ready reboot 2
  expect 'what the guest reads' 'disk of the guest that reboots' "$(ask reboot head xvda)"
  expect 'and what it had written' 'before the reboot' "$(ask reboot note xvda)"
  new=$(domid_of reboot)
  expect_vbd "$new" 51712
  BEFORE=$(sed "s/\\b$old\\b/$new/" <<<"$BEFORE")
}

shared_reboot() {
  gone reboot || return 0
  image reboot.img 'disk of the guest that reboots'
  GUEST_EXTRA="on_reboot = 'restart'" shared_guest reboot "$(disk xvda w "$IMAGES/reboot.img")"
}

another_domid() { # NAME OLD
  local now
  now=$(xl domid "$1" 2>/dev/null) && [ "$now" != "$2" ]
}

scenario guest-destroy
guest_destroy() {
  shared_reboot
  expect 'what the guest reads' 'disk of the guest that reboots' "$(ask reboot head xvda)"
  xl destroy reboot
  expect_end_of reboot
}
