# A guest's whole life: saved, restored, migrated, paused, its disks grown; booted by a loader that reads
# the disk in dom0 first. Controls set SPOILED_BY, which is run in the place of what a scenario is about,
# or at that moment.
# shellcheck shell=bash

shared_life() {
  gone life || return 0
  image life.img 'disk of guest life'
  shared_guest life "$(disk xvda w "$IMAGES/life.img")"
}

# Both the domain and what is left of it have another number; the guest is the same.
still_life() { # OLD
  local new
  new=$(domid_of life)
  [ "$new" != "$1" ] || exit_with_reason "the domain is still $1"
  await_ready life 1
  expect_vbd "$new" 51712
  BEFORE=$(sed "s/\\b$1\\b/$new/" <<<"$BEFORE")
}

scenario save-restore
save_restore_needs() { shared_life; }
save_restore() {
  local old
  old=$(domid_of life)
  expect 'the guest writes' written "$(ask life write xvda 'before it is saved')"
  xl save life "$RUN/life.save"
  nothing_more_than "$(<"$RUN/life.before")"
  ${SPOILED_BY:-true} life.img
  xl restore "$RUN/life.save"
  rm "$RUN/life.save"
  still_life "$old"
  expect 'what the guest reads' 'disk of guest life' "$(ask life head xvda)"
  expect 'what it had written' 'before it is saved' "$(ask life note xvda)"
  expect 'the guest writes' written "$(ask life write xvda 'after it was restored')"
  expect 'what the file has then' 'after it was restored' "$(note_in "$IMAGES/life.img")"
}

scenario grow
grow_needs() { shared_life; }
grow() {
  image grow.img 'it grows'
  attach life xvdd w "$IMAGES/grow.img" 'it grows'
  expect 'size in sectors' 8192 "$(ask life size xvdd)"
  truncate -s 8M "$IMAGES/grow.img"
  ${SPOILED_BY:-losetup -c} "$(losetup -n -O NAME -j "$IMAGES/grow.img")"
  # The driver looks when it has something to do.
  expect 'what the guest reads' 'it grows' "$(ask life head xvdd)"
  eventually 30 'the guest sees the new size' has_size life xvdd 16384
  expect 'the guest writes' written "$(ask life last xvdd 'at the new end')"
  expect 'what the file has then' 'at the new end' "$(tail -c 4096 "$IMAGES/grow.img" | head -n 1 | tr -d '\0')"
  detach life xvdd
}
has_size() { ask "$1" head "$2"; [ "$(ask "$1" size "$2")" = "$3" ]; } # NAME DISK SECTORS

# A disk comes while the guest sleeps, and is there when it wakes; a disk cannot go while it sleeps.
scenario pause
pause_needs() { shared_life; }
pause() {
  image asleep.img 'while it slept'
  ${SPOILED_BY:-xl pause} life
  xl block-attach life "$(disk xvde w "$IMAGES/asleep.img")"
  if xl block-detach life xvde; then exit_with_reason 'a guest that sleeps has let go of a disk'; fi
  expect_loop_of asleep.img
  xl unpause life
  eventually 60 'xvde disappears again' lacks_disk life xvde
  xl block-detach life xvde || true
  nothing_more_than "$BEFORE"
  attach life xvde w "$IMAGES/asleep.img" 'while it slept'
  detach life xvde
}
expect_loop_of() { bound_loops | grep -qx "loop $IMAGES/$1" || exit_with_reason "$1 has no loop device"; }

# What a migration does to disks: for a moment both ends have them, a file, a layer, and a mapper device
# that goes with its last user. Debian builds Xen without shadow paging, so that `xl migrate` refuses PV
# guests; the old domain stays paused here until the new one runs.
scenario migrate
migrate_needs() { shared_life; }
migrate() {
  local old device
  old=$(domid_of life)
  image base.img 'below a layer'
  device=$(losetup --show -f "$IMAGES/base.img")
  make_mapper passing LVM-bed-0003 'volume that goes'
  attach life xvdb w "path=$device,layer=linear" 'below a layer'
  attach life xvdc w "dm-name=passing${DEFERRED-,deferred-remove=yes}" 'volume that goes'
  expect 'the guest writes' written "$(ask life write xvda 'before it moves')"
  xl save -p life "$RUN/life.save"
  configure incoming linux "$(disk xvda w "$IMAGES/life.img")" "$(disk xvdb w "path=$device,layer=linear")" \
    "$(disk xvdc w "dm-name=passing${DEFERRED-,deferred-remove=yes}")"
  ${SPOILED_BY:-same_machine} life incoming
  xl restore "$RUN/incoming.cfg" "$RUN/life.save" ||
    exit_with_reason "the other end cannot have the disks: $(tail -n 1 /var/log/xen/xen-hotplug.log)"
  rm "$RUN/life.save"
  expect_vbd "$old" 51712
  expect_vbd "$(domid_of incoming)" 51712
  destroy life
  xenstore-read "/local/domain/$(domid_of incoming)/console/tty" >"$RUN/incoming.tty"
  expect 'what the guest reads' 'disk of guest life' "$(ask incoming head xvda)"
  expect 'what it had written' 'before it moves' "$(ask incoming note xvda)"
  expect 'what it reads through the layer' 'below a layer' "$(ask incoming head xvdb)"
  expect 'what it reads of the volume' 'volume that goes' "$(ask incoming head xvdc)"
  expect 'the guest writes' written "$(ask incoming write xvdc 'after it moved')"
  expect 'what the volume has then' 'after it moved' "$(note_in "$IMAGES/passing.img")"
  destroy incoming
  losetup -d "$device"
  expect_end_of life
}

# The same virtual machine, whatever its domain.
same_machine() { # NAME OTHER
  local vm
  vm=$(xenstore-read "/local/domain/$(domid_of "$1")/vm")
  echo "uuid = '${vm#/vm/}'" >>"$RUN/$2.cfg"
}

# The domain is destroyed while its disk is being attached.
scenario destroy-while-attaching
destroy_while_attaching() {
  local attachment
  image doomed.img 'of no use'
  configure doomed idle
  create doomed
  xl block-attach doomed "$(disk xvda w "$IMAGES/doomed.img")" &
  attachment=$!
  await_loop_of doomed.img
  ${SPOILED_BY:-true} doomed.img
  destroy doomed
  wait "$attachment" || true
}

# A drive without a medium: the guest starts. libxl names no file, or one of no bytes.
scenario empty-drive
empty_drive() {
  local path
  image beside.img 'beside an empty drive'
  configure driven idle "$(disk xvda w "$IMAGES/beside.img")" \
    "${SCRIPT:+script=$SCRIPT,}vdev=xvdc,access=ro,devtype=cdrom,target="
  create driven
  path=$BACKENDS/$(domid_of driven)
  expect 'hotplug-status' connected "$(xenstore-read "$path/51744/hotplug-status")"
  if [ -z "$(xenstore-read "$path/51744/params")" ]; then
    expect 'physical-device' '' "$(xenstore-read "$path/51744/physical-device" 2>/dev/null || true)"
  else
    expect 'size in sectors' 0 "$(<"/sys/dev/block/$(decimal "$path/51744")/size")"
  fi
  expect_vbd "$(domid_of driven)" 51712
  destroy driven
}

decimal() { # PATH: of a published number, as sysfs has it
  local number
  number=$(xenstore-read "$1/physical-device")
  echo "$((16#${number%:*})):$((16#${number#*:}))"
}

# dom0 as its own guest.
blkfront() { [ -e /sys/bus/xen/drivers/vbd ] || busybox insmod /lib/modules/xen-blkfront.ko; }
first_line_of() { dd if="$1" bs=4096 count=1 iflag=direct 2>/dev/null | head -n 1; }

scenario dom0-itself
dom0_itself_needs() { blkfront; }
dom0_itself() {
  image own.img 'for dom0 itself'
  xl block-attach 0 "$(disk xvdp w "$IMAGES/own.img")"
  eventually 60 'xvdp appears' test -b /dev/xvdp
  expect 'what dom0 reads' 'for dom0 itself' "$(first_line_of /dev/xvdp)"
  [ "$SCRIPT" = block ] || expect_vbd 0 51952
  configure refused idle "$(disk xvda w "$IMAGES/own.img")"
  if create refused; then exit_with_reason 'a guest may write what dom0 has'; fi
  eventually 60 'end of the domain' gone refused
  xl block-detach 0 xvdp
}

# The loader reads the disk in dom0; then the same disk becomes the guest's.
scenario bootloader
bootloader_needs() { blkfront; }
bootloader() {
  image boot.img 'the disk of a loader'
  rm -f "$RUN/loader"
  configure loaded idle "$(disk xvda w "$IMAGES/boot.img")"
  sed -i "s|^kernel = .*|bootloader = '/bed/bootloader'|" "$RUN/loaded.cfg"
  create loaded
  expect 'what the loader read' 'the disk of a loader' "$(cat "$RUN/loader")"
  expect 'vbds of dom0' '' "$(xenstore-list "$BACKENDS/0" 2>/dev/null || true)"
  expect_vbd "$(domid_of loaded)" 51712
  destroy loaded
}

# libxl waits 10 s for dom0's own frontend, which nobody serves. What it leaves, audit names; the guest is
# refused until it is taken away, because dom0 may yet write the disk.
scenario bootloader-times-out
bootloader_times_out_needs() { [ ! -e /sys/bus/xen/drivers/vbd ] || busybox rmmod xen-blkfront; }
bootloader_times_out() {
  local said stale
  image boot.img 'the disk of a loader'
  configure loaded idle "$(disk xvda w "$IMAGES/boot.img")"
  sed -i "s|^kernel = .*|bootloader = '/bed/bootloader'|" "$RUN/loaded.cfg"
  if create loaded; then exit_with_reason 'a loader read a disk that dom0 does not have'; fi
  eventually 60 'end of the domain' gone loaded
  stale=$(xenstore-list "$BACKENDS/0" 2>/dev/null || true)
  note "after libxl's time-out backend/vbd/0 has: ${stale:-nothing}; $(bound_loops | grep -c boot.img || true) loop devices"
  said=$(xen-blkback audit 2>&1) || true
  expect_match 'what audit says' '0/51712 .dom0-waits' "$said"
  BEFORE=$(belongings) refuse 'xen-blkback: .*domain 0' "$(disk xvda w "$IMAGES/boot.img")"
  # What audit says to do.
  bash -ec "$(sed -n 's/^ *to end it: //p' <<<"$said")"
  nothing_more_than "$BEFORE"
  blkfront
  create loaded
  expect 'what the loader read' 'the disk of a loader' "$(cat "$RUN/loader")"
  destroy loaded
}

# A guest that reboots and is kept as it was: its disk is not yet anybody else's.
scenario reboot-preserve
reboot_preserve() {
  image kept.img 'disk of a guest that is kept'
  GUEST_EXTRA="on_reboot = 'preserve'" start_guest kept "$(disk xvda w "$IMAGES/kept.img")"
  expect 'the guest writes' written "$(ask kept write xvda 'before the reboot')"
  tell kept reboot
  eventually 60 'the guest is shut down' is_shut_down kept
  BEFORE=$(belongings) refuse 'xen-blkback: .*domain [0-9]+ \(kept\)' "$(disk xvda w "$IMAGES/kept.img")"
  expect_vbd "$(domid_of kept)" 51712
  destroy kept
  expect 'what the file has then' 'before the reboot' "$(note_in "$IMAGES/kept.img")"
}
is_shut_down() { [[ $(xl list "$1") == *' ---s'* ]]; }

# The old domain is kept under another name and as another virtual machine, with its disks: the new one
# cannot have them.
scenario reboot-rename-restart
reboot_rename_restart() {
  image renamed.img 'disk of a guest that is renamed'
  GUEST_EXTRA="on_reboot = 'rename-restart'" start_guest renamed "$(disk xvda w "$IMAGES/renamed.img")"
  tell renamed reboot
  eventually 60 'the old domain is renamed' old_domain
  eventually 60 'xl says why there is no new one' grep -q 'others use the same bytes' /var/log/xen/xl-renamed.log
  eventually 60 'the new domain is gone' gone renamed
  destroy "$(old_domain)"
}
old_domain() { xl list | grep -o '^renamed-[^ ]*'; }

# Six guests come and go at once.
scenario many-destroyed
many_destroyed() {
  local number
  for number in 0 1 2 3 4 5; do
    image "many$number.img" "disk of guest $number"
    configure "many$number" idle "$(disk xvda w "$IMAGES/many$number.img")"
    create "many$number" &
  done
  wait
  for number in 0 1 2 3 4 5; do expect_vbd "$(domid_of "many$number")" 51712; done
  for number in 0 1 2 3 4 5; do xl destroy "many$number" & done
  wait
}
