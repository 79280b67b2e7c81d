# A disk of a driver domain, seen from dom0.
# shellcheck shell=bash

# libxl makes the nodes, reports success, and never looks again. What the driver domain would write, this dom0
# writes: an idle guest has no backend driver.
scenario driver-domain
driver_domain() {
  local driver guest root creation waiting began status=0
  local sentence='open /srv/missing.img: no such file or directory (ENOENT)'
  configure disks idle
  create disks
  driver=$(domid_of disks)
  root=/local/domain/$driver/backend/vbd
  configure lost idle 'backend=disks, vdev=xvda, access=w, script=block-diskseq, target=/srv/missing.img'
  create lost &
  creation=$!
  eventually 90 'libxl makes a backend' xenstore-list "$root"
  guest=$(xenstore-list "$root")
  eventually 90 'libxl makes all of it' xenstore-read "$root/$guest/51712/params"
  xenstore-write "$root/$guest/51712/state" 2
  wait "$creation" || exit_with_reason "xl create failed with status $?, although it cannot know"
  xen-blkback wait "$guest/51712" --backend-domain "$driver" --opened --timeout 120 2>"$RUN/said" &
  waiting=$!
  # Until it watches.
  nap 20
  kill -0 "$waiting" || exit_with_reason "it did not wait: $(<"$RUN/said")"
  xenstore-write "$root/$guest/51712/hotplug-error" "$sentence" "$root/$guest/51712/hotplug-status" error
  began=$EPOCHREALTIME
  wait "$waiting" || status=$?
  note "the wait ended $(seconds_since "$began") s after the failure, emulated"
  expect 'its status' 1 "$status"
  expect_match 'its sentence' "domain $driver could not attach $guest/51712: open /srv/missing.img" "$(<"$RUN/said")"
  expect_match 'the list' "^$driver +$guest/51712 +lost .*error" "$(xen-blkback list --all --errors -n)"
  expect_match 'show' 'hotplug status +error' "$(xen-blkback show "$guest/xvda" --backend-domain "$driver")"
  destroy lost
  destroy disks
}
