#!/bin/sh
# The first process of a User-Mode Linux whose root is this machine's file system, read-only. Makes the
# directories in which tests write, loads device-mapper, md and loop, runs inside.js, and powers off.
#
# The kernel's command line sets uml_job, a directory that is shared with the host, and uml_node.
project=$(cd "$(dirname "$0")/../../.." && pwd)
PATH=$(dirname "$uml_node"):/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH TERM=dumb

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mountpoint -q /dev || mount -t devtmpfs dev /dev
for place in /run /tmp /var/tmp /var/log; do mount -t tmpfs -o mode=1777 tmpfs "$place"; done
mkdir -p /dev/shm /run/lock /var/log/xen
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
ln -sfn /proc/self/fd /dev/fd
ln -sfn fd/0 /dev/stdin
ln -sfn fd/1 /dev/stdout
ln -sfn fd/2 /dev/stderr

# A directory of the host is hidden if this kernel has mounted a new file system above it. So the project
# and the job are mounted again.
if [ ! -e "$project/package.json" ]; then
  mkdir -p "$project"
  mount -t hostfs -o "ro,$project" none "$project"
fi
mkdir -p "$uml_job"
mount -t hostfs -o "$uml_job" none "$uml_job"

# The modules of this kernel are not in /lib/modules, where modprobe and the kernel would look for them.
mkdir -p /run/uml/lib
ln -s /usr/lib/uml/modules /run/uml/lib/modules
printf '#!/bin/sh\nexec modprobe --dirname /run/uml "$@"\n' >/run/uml/modprobe
chmod +x /run/uml/modprobe
echo /run/uml/modprobe >/proc/sys/kernel/modprobe
for module in loop dm-mod dm-crypt dm-verity dm-snapshot md-mod raid1; do
  /run/uml/modprobe "$module" || echo "init: no module $module"
done

cd "$project" || exit 1
"$uml_node" dist/test/bed/uml/inside.js "$uml_job"
sync
echo o >/proc/sysrq-trigger
# The power-off takes a moment, and the kernel would panic if the first process ended before.
sleep 60
