# A guest with the processor's virtualisation, which Xen can migrate while it runs.
# shellcheck shell=bash

scenario pvh
pvh() {
  image pvh.img 'disk of a PVH guest'
  image come.img 'comes and goes'
  KIND=pvh start_guest virtual "$(disk xvda w "$IMAGES/pvh.img")"
  expect 'what the guest reads' 'disk of a PVH guest' "$(ask virtual head xvda)"
  expect 'the guest writes' written "$(ask virtual write xvda 'from a PVH guest')"
  expect 'what the file has then' 'from a PVH guest' "$(note_in "$IMAGES/pvh.img")"
  expect_vbd "$(domid_of virtual)" 51712
  attach virtual xvdb r "$IMAGES/come.img" 'comes and goes'
  detach virtual xvdb
  destroy virtual
}

# To this machine itself: both domains have the disk for a moment, and xl makes the second while the first
# still runs.
scenario live-migration
live_migration() {
  local old new
  image moves.img 'disk of a guest that moves'
  KIND=pvh start_guest mover "$(disk xvda w "$IMAGES/moves.img")"
  old=$(domid_of mover)
  expect 'the guest writes' written "$(ask mover write xvda 'before it moves')"
  # The "host" is what is run in the place of ssh.
  xl migrate -s '' mover 'xl migrate-receive' >"$RUN/said" 2>&1 ||
    exit_with_reason "xl migrate failed: $(grep -vi progress "$RUN/said" | tail -n 3 | tr '\n' ' ')"
  new=$(domid_of mover)
  [ "$new" != "$old" ] || exit_with_reason "the domain is still $old"
  xenstore-read "/local/domain/$new/console/tty" >"$RUN/mover.tty"
  # xl gives it its name last; its console's log has the first one.
  ln -sf guest-mover--incoming.log "$CONSOLES/guest-mover.log"
  expect_vbd "$new" 51712
  expect 'what the guest reads' 'disk of a guest that moves' "$(ask mover head xvda)"
  expect 'what it had written' 'before it moves' "$(ask mover note xvda)"
  expect 'the guest writes' written "$(ask mover write xvda 'after it moved')"
  expect 'what the file has then' 'after it moved' "$(note_in "$IMAGES/moves.img")"
  destroy mover
}
