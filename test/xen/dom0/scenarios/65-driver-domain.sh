# A driver domain: a guest with blkback, the daemon and `xl devd`, which has the disks of other guests in its
# memory. libxl in dom0 makes the nodes, reports success, and never looks again.
# shellcheck shell=bash

shared_driver() {
  gone driver || return 0
  pack_driver
  KIND=driver shared_guest driver
  rm "$RUN/driver.cpio"
  # `xl devd` goes on where it cannot run a script, and the daemon attaches without one.
  done_there 'test -x /etc/xen/scripts/block-diskseq'
}

# Its initial root: dom0's files, but for what only dom0 boots or runs: its QEMU is large.
pack_driver() {
  (
    cd /
    find . -xdev \( -path ./boot -o -path './usr/libexec/xen-qemu-*' -o -path ./var/log \) -prune -o -print |
      busybox cpio -o -H newc
  ) >"$RUN/driver.cpio"
}

# What a command says there, on one line.
there() { ask driver sh - "$*"; } # COMMAND
done_there() { expect "$1 there" 'done;' "$(there "$1 && echo done")"; } # COMMAND

image_there() { done_there "echo '$2' >/srv/$1 && truncate -s 4M /srv/$1"; } # NAME TEXT

# As `disk`, with a file of the driver domain.
disk_there() { echo "backend=driver,$(disk "$1" "$2" "/srv/$3")"; } # VDEV r|w NAME

backends_of_driver() { echo "/local/domain/$(domid_of driver)/backend/vbd"; }

# Loop devices, records and vbds of the driver domain.
belongings_there() {
  there 'losetup -n -O BACK-FILE -l; ls -d /run/xen-blkback/vbd-* /sys/bus/xen-backend/devices/* 2>/dev/null; xenstore-list backend/vbd 2>/dev/null; echo .'
}
nothing_there() { [ "$(belongings_there)" = '.;' ]; }
expect_nothing_there() {
  eventually 60 "there is still something there: $(belongings_there)" nothing_there
}

scenario driver-domain
driver_domain_needs() { shared_driver; }
driver_domain() {
  image_there disk.img 'in the driver domain'
  image_there more.img 'more of that'
  start_guest served "$(disk_there xvda w disk.img)"
  expect 'what the guest reads' 'in the driver domain' "$(ask served head xvda)"
  expect 'the guest writes' written "$(ask served write xvda 'from another domain')"
  expect 'what the file has then' 'from another domain' \
    "$(there 'dd if=/srv/disk.img bs=4096 skip=1 count=1 2>/dev/null | head -n 1 | tr -d "\0\n"')"
  xen-blkback wait "$(domid_of served)/51712" --backend-domain "$(domid_of driver)" --opened
  xl block-attach served "$(disk_there xvdb r more.img)"
  eventually 90 'xvdb appears' has_disk served xvdb
  expect 'what the guest reads' 'more of that' "$(ask served head xvdb)"
  expect_match 'the list' "$(domid_of served)/51728 +served" "$(xen-blkback list --all -n)"
  detach served xvdb
  destroy served
  expect_nothing_there
}

# The file is missing: `xl create` cannot know, and `wait` says why the guest has no disk. The driver domain
# is stopped meanwhile, so that there is something to wait for.
scenario driver-domain-fails
driver_domain_fails_needs() { shared_driver; }
driver_domain_fails() {
  local driver guest waiting watching status=0
  driver=$(domid_of driver)
  done_there 'pkill -STOP -f "[d]evd -F|[d]aemon --verbose"'
  configure lost idle "$(disk_there xvda w missing.img)"
  create lost || exit_with_reason "xl create failed with status $?, although it cannot know"
  guest=$(domid_of lost)
  xen-blkback wait "$guest/51712" --backend-domain "$driver" --opened --timeout 120 2>"$RUN/said" &
  waiting=$!
  xenstore-watch "$(backends_of_driver)/$guest/51712/hotplug-status" | stamp >"$RUN/stamps" &
  watching=$!
  # Until both watch.
  nap 20
  kill -0 "$waiting" || exit_with_reason "it did not wait: $(<"$RUN/said")"
  done_there 'pkill -CONT -f "[d]evd -F|[d]aemon --verbose"'
  wait "$waiting" || status=$?
  note "the wait ended $(seconds_since "$(tail -n 1 "$RUN/stamps" | cut -d ' ' -f 1)") s after the failure, emulated"
  kill "$watching"
  expect 'its status' 1 "$status"
  expect_match 'its sentence' "domain $driver could not attach $guest/51712: .*/srv/missing.img" "$(<"$RUN/said")"
  expect_match 'the list' "^$driver +$guest/51712 +lost .*error" "$(xen-blkback list --all --errors -n)"
  expect_match 'show' 'hotplug status +error' "$(xen-blkback show "$guest/xvda" --backend-domain "$driver")"
  destroy lost
  expect_nothing_there
}

# A second guest that would write the same file is refused there, and dom0 is told by status 3.
scenario driver-domain-shares
driver_domain_shares_needs() { shared_driver; }
driver_domain_shares() {
  local driver said status=0
  driver=$(domid_of driver)
  image_there shared.img 'for one only'
  configure first idle "$(disk_there xvda w shared.img)"
  configure second idle "$(disk_there xvda w shared.img)"
  create first
  xen-blkback wait "$(domid_of first)/51712" --backend-domain "$driver" --opened
  create second
  said=$(xen-blkback wait "$(domid_of second)/51712" --backend-domain "$driver" --opened 2>&1) || status=$?
  expect 'status of the wait' 3 "$status"
  expect_match 'its sentence' 'others use the same bytes' "$said"
  destroy second
  destroy first
  expect_nothing_there
}

# Its daemon dies: the hotplug script does the work itself, and a new daemon takes over what is there.
scenario driver-domain-daemon
driver_domain_daemon_needs() { shared_driver; }
driver_domain_daemon() {
  local driver
  driver=$(domid_of driver)
  image_there before.img 'by the first daemon'
  image_there between.img 'by nobody'
  configure held idle "$(disk_there xvda w before.img)"
  create held
  xen-blkback wait "$(domid_of held)/51712" --backend-domain "$driver" --opened
  expect 'the daemon dies' 137 "$(ask driver kill-daemon)"
  xl block-attach held "$(disk_there xvdb w between.img)"
  xen-blkback wait "$(domid_of held)/51728" --backend-domain "$driver" --opened
  ask driver start-daemon
  image_there after.img 'by the second daemon'
  xl block-attach held "$(disk_there xvdc w after.img)"
  xen-blkback wait "$(domid_of held)/51744" --backend-domain "$driver" --opened
  destroy held
  expect_nothing_there
}

# Many at once, with what XenStore grants a guest: 128 watches, 1000 nodes, 10 transactions, 20 requests.
VBDS=30
scenario driver-domain-many
driver_domain_many_needs() { shared_driver; }
driver_domain_many() {
  local number began devid path said disks=()
  done_there "for n in {1..$VBDS}; do truncate -s 1M /srv/many\$n.img; done"
  for ((number = 1; number <= VBDS; number++)); do
    disks+=("$(disk_there "$(vdev "$number")" w "many$number.img")")
  done
  configure crowd idle "${disks[@]}"
  began=$EPOCHREALTIME
  create crowd
  path=$(backends_of_driver)/$(domid_of crowd)
  for devid in $(xenstore-list "$path"); do
    xen-blkback wait "$path/$devid" --opened --timeout 120
  done
  note "$VBDS vbds were served $(seconds_since "$began") s after xl create began, emulated"
  note "what xenstored counts of the driver domain: $(xenstore-control quota "$(domid_of driver)" | tr -s ' \n' ' ')"
  expect 'number of vbds' "$VBDS" "$(xenstore-list "$path" | wc -l)"
  destroy crowd
  expect_nothing_there
}
# From xvda to xvdaz.
vdev() { # NUMBER
  local letters=abcdefghijklmnopqrstuvwxyz prefix=xvd number=$1
  [ "$number" -le 26 ] || { prefix=xvda; number=$((number - 26)); }
  echo "$prefix${letters:number-1:1}"
}

# A guest and the domain of its device model: the driver domain may not read that they are one virtual machine.
scenario driver-domain-stub
driver_domain_stub_needs() { shared_driver; }
driver_domain_stub() {
  local driver path said status=0
  driver=$(domid_of driver)
  image_there both.img 'for a guest and its device model'
  configure master idle "$(disk_there xvda w both.img)"
  create master
  xen-blkback wait "$(domid_of master)/51712" --backend-domain "$driver" --opened
  attach_to_stub
  said=$(xen-blkback wait "$path" --opened 2>&1) || status=$?
  expect 'status of the wait' 3 "$status"
  expect_match 'its sentence' 'others use the same bytes' "$said"
  expect_match 'what the driver domain knows' 'same-vm=assume' "$(there 'grep same-vm /var/log/bed/daemon.log')"
  destroy stub
  change_there "${SPOILED_BY:-same-vm=assume}"
  attach_to_stub
  xen-blkback wait "$path" --opened || exit_with_reason "it is refused: $(xenstore-read "$path/hotplug-error")"
  destroy stub
  destroy master
  change_there
  expect_nothing_there
}
# Makes it as libxl makes one, and gives it the guest's disk. Sets `path`.
attach_to_stub() {
  configure stub idle
  create stub
  xenstore-write "/local/domain/$(domid_of stub)/target" "$(domid_of master)"
  xl block-attach stub "$(disk_there xvda w both.img)"
  path=$(backends_of_driver)/$(domid_of stub)/51712
}
# The configuration, with a daemon that reads it. Without a line, as it was.
change_there() { # [LINE]
  done_there "echo '${1-}' >/etc/xen/xen-blkback.conf"
  ask driver kill-daemon
  ask driver start-daemon
}

# The driver domain reboots: it comes back under another number and without its old vbds. A guest whose disk it
# had can get new ones.
scenario driver-domain-reboot
driver_domain_reboot_needs() { shared_driver; }
driver_domain_reboot() {
  local old driver guest count
  old=$(domid_of driver)
  image_there lost.img 'lost with it'
  configure waiting idle "$(disk_there xvda w lost.img)"
  create waiting
  guest=$(domid_of waiting)
  xen-blkback wait "$guest/51712" --backend-domain "$old" --opened
  count=$(grep -c '^@ready' "$CONSOLES/guest-driver.log")
  # xl reads it again.
  pack_driver
  tell driver ${SPOILED_BY:-reboot}
  eventually 120 'a new driver domain' another_domid driver "$old"
  await_ready driver $((count + 1))
  rm "$RUN/driver.cpio"
  driver=$(domid_of driver)
  BEFORE=$(sed "s/\\b$old\\b/$driver/" <<<"$BEFORE")
  expect_nothing_there
  expect_match 'the audit' "disk 51712 of guest $guest" "$(xen-blkback audit 2>&1 || true)"
  image_there found.img 'after the reboot'
  xl block-attach waiting "$(disk_there xvdb w found.img)"
  xen-blkback wait "$guest/51728" --backend-domain "$driver" --opened
  expect_match 'the list' "(^|"$'\n'")$driver +$guest/51728 +waiting" "$(xen-blkback list --all -n)"
  destroy waiting
  expect_nothing_there
}

# The driver domain dies: its vbds are gone with it, and the guest hangs until somebody destroys it.
scenario driver-domain-crash
driver_domain_crash_needs() { shared_driver; }
driver_domain_crash() {
  local driver
  driver=$(domid_of driver)
  image_there lost.img 'lost with it'
  start_guest bereft "$(disk_there xvda w lost.img)"
  xl destroy driver
  # A guest whose disks dom0 serves may be there as well.
  expect 'the list' '' "$(xen-blkback list --all -n | grep bereft || true)"
  expect_match 'show' 'has no vbd of domain' \
    "$(xen-blkback show "$(domid_of bereft)/xvda" --backend-domain "$driver" 2>&1 || true)"
  expect_match 'the audit' "disk 51712 of guest $(domid_of bereft)" "$(xen-blkback audit 2>&1 || true)"
  destroy bereft
  expect_end_of driver
}
