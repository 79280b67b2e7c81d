# Guests: making them, asking them, ending them. Sourced by run.
# shellcheck shell=bash

CONSOLES=/var/log/xen/console

# Writes the configuration of a guest. KIND is linux, which obeys; or pvh, the same with the processor's
# virtualisation; or idle, which does nothing but is built in a fraction of the time; or driver, a driver
# domain; or hvm, which boots from its first disk.
configure() { # NAME KIND DISK…
  local name=$1 kind=$2 spec
  shift 2
  {
    echo "name = '$name'"
    if [ "$kind" = idle ]; then
      echo "kernel = '/boot/idle-guest'"
      echo 'memory = 8'
    elif [ "$kind" = hvm ]; then
      printf '%s\n' "type = 'hvm'" 'memory = 32' "boot = 'c'" "vga = 'none'" 'nographic = 1' 'vnc = 0' 'usb = 0' \
        "serial = 'file:$CONSOLES/guest-$name.log'"
    else
      # The clock's rate is what QEMU says; looking for it through ports that do not exist takes 5 s.
      local extra='console=hvc0 quiet tsc_early_khz=1000000 audit=0 ipv6.disable=1 mitigations=off'
      echo "kernel = '/boot/vmlinux'"
      if [ "$kind" = driver ]; then
        echo "ramdisk = '$RUN/driver.cpio'"
        echo 'memory = 500'
        echo 'driver_domain = 1'
        extra+=" rdinit=/bed/driver-init BED_DRIVER=$BED_DRIVER"
      else
        echo "ramdisk = '/boot/guest.cpio'"
        echo 'memory = 112'
      fi
      [ "$kind" != pvh ] || echo "type = 'pvh'"
      echo "extra = '$extra'"
    fi
    echo "${GUEST_EXTRA:-on_crash = 'destroy'}"
    echo 'disk = ['
    for spec; do echo "  '$spec',"; done
    echo ']'
  } >"$RUN/$name.cfg"
}

create() { xl create "$RUN/$1.cfg"; } # NAME

# Makes a Linux guest, or one of another kind, and waits until it obeys.
start_guest() { # NAME DISK…
  local name=$1
  rm -f "$CONSOLES/guest-$name.log"
  configure "$name" "${KIND:-linux}" "${@:2}"
  create "$name"
  await_ready "$name" 1
}

readies() { # NAME COUNT: whether it has been ready that many times
  local - left=$2 line
  set +x
  while IFS= read -r line; do
    [[ $line != @ready* ]] || ((--left)) || return 0
  done <"$CONSOLES/guest-$1.log"
  return 1
}

# What a guest has answered to the question of a number, into REPLY.
answered() { # NAME NUMBER
  local -
  set +x
  while IFS= read -r REPLY; do
    [[ $REPLY != "@$2 "* ]] || { REPLY=${REPLY#* }; REPLY=${REPLY%$'\r'}; return; }
  done <"$CONSOLES/guest-$1.log"
  return 1
}

await_ready() { # NAME COUNT
  eventually 120 "guest $1 is ready" readies "$1" "$2"
  xenstore-read "/local/domain/$(xl domid "$1")/console/tty" >"$RUN/$1.tty"
}

# Has a guest do something and prints its answer.
ask() { # NAME VERB [DISK [TEXT]]
  local name=$1 number=$EPOCHREALTIME deadline=$((SECONDS + 60)) REPLY
  shift
  echo "$number $*" >"$(<"$RUN/$name.tty")"
  until answered "$name" "$number"; do
    [ $SECONDS -lt $deadline ] || exit_with_reason "guest $name does not answer: $*"
    nap 0.1
  done
  echo "$REPLY"
}

# The guest ends by what it is told; nothing is answered.
tell() { echo "0 $2" >"$(<"$RUN/$1.tty")"; } # NAME VERB

has_disk() { [[ " $(ask "$1" disks) " == *" $2 "* ]]; }
lacks_disk() { ! has_disk "$1" "$2"; }

domid_of() { xl domid "$1"; }
gone() { ! xl domid "$1" >/dev/null 2>&1; } # NAME

destroy() { # NAME
  xl destroy "$1"
  eventually 90 "end of $1" gone "$1"
}

# A guest that several scenarios use: made by the first that needs it, and left running.
shared_guest() { # NAME DISK…
  if ! gone "$1"; then return; fi
  belongings >"$RUN/$1.before"
  start_guest "$@"
}

# Called by the scenario that ends a shared guest: nothing of it is to be left either.
expect_end_of() { # NAME
  eventually 90 "end of $1" gone "$1"
  BEFORE=$(<"$RUN/$1.before")
}

# After a scenario that failed: its daemon, domains, vbds made by hand, mappers and loop devices that were not
# there before are taken away, so that the next one is not judged by them. Nobody minds what cannot be done.
take_away() { # BELONGINGS
  local kind name
  pkill -KILL -f '[d]aemon --verbose'
  unbind_mounts
  remove_nodes "$BACKENDS/900" "$BACKENDS/901" /local/domain/900 /local/domain/901
  new_since "$1" | while read -r kind name; do [ "$kind" != domain ] || xl destroy "$name"; done
  for name in $(xenstore-list "$BACKENDS/0"); do xl block-detach 0 "$name" --force; done
  nap 1
  new_since "$1" | while read -r kind name; do [ "$kind" != mapper ] || dmsetup remove --retry "$name"; done
  new_since "$1" | while read -r kind name; do
    [ "$kind" != loop ] || losetup -n -O NAME -j "$name" | xargs -r losetup -d
  done
} 2>/dev/null

new_since() { grep -vxF -e "$1" <<<"$(belongings)"; } # BELONGINGS

# What scenarios have put in the place of installed files.
unbind_mounts() {
  while umount /usr/lib/xen-blkback/dist/code/block-diskseq.cjs; do :; done
  while umount /usr/bin/xenstore-write; do :; done
  [ ! -e /etc/xen/scripts/block.xen ] || mv -f /etc/xen/scripts/block.xen /etc/xen/scripts/block
}
