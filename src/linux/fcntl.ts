// Constants of fcntl.h that Node does not export. They are the same on every platform of Xen
// (asm-generic/fcntl.h, linux/fcntl.h).

export const O_CLOEXEC = 0o2000000;
export const O_PATH = 0o10000000;
/** Stands for the current directory in the place of a directory's descriptor. */
export const AT_FDCWD = -100;
