# What every domain of the bed that runs Linux programs begins with. Sourced by init and driver-init.
# shellcheck shell=bash

for tools in /usr/lib/xen-*/bin; do PATH=$tools:/usr/sbin:/usr/bin; done
export PATH HOME=/root
export BED_DRIVER
busybox() { /usr/bin/busybox "$@"; }

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t tmpfs tmpfs /srv
for fd in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${fd%:*}" "/dev/${fd#*:}"; done
ln -s /proc/self/fd /dev/fd
[ -e /var/run ] || ln -s /run /var/run
mkdir -p /var/log/xen/console /var/lib/xen /var/lock /var/lib/xenstored /run/xen

# shellcheck disable=SC2013 # names without blanks
for module in $(cat /lib/modules/order) "xen-blkback-$BED_DRIVER.ko"; do
  busybox insmod "/lib/modules/$module" || echo "init: $module cannot be loaded"
done
mount -t xenfs xenfs /proc/xen
