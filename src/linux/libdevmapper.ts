import { closeSync, openSync } from 'node:fs';
import koffi from 'koffi';
import { errorCode } from '../errors.js';
import { SystemError } from './errno.js';
import { O_RDWR } from './fd.js';

/** What a task does: the `DM_DEVICE_…` of libdevmapper.h, with the ioctl's name for messages. */
export const Task = {
  create: { type: 0, name: 'DM_DEV_CREATE' },
  load: { type: 1, name: 'DM_TABLE_LOAD' },
  remove: { type: 2, name: 'DM_DEV_REMOVE' },
  resume: { type: 5, name: 'DM_DEV_SUSPEND' },
  table: { type: 11, name: 'DM_TABLE_STATUS' },
  list: { type: 13, name: 'DM_LIST_DEVICES' },
} as const;

const CONTROL = '/dev/mapper/control';

/** libdevmapper is only there, and only needed, where mapper devices are. */
let library: Library | undefined;

type Library = ReturnType<typeof load>;
type TaskCall = Exclude<keyof Library, 'create' | 'destroy' | 'run' | 'strlen' | 'memcpy'>;
type Call = (...args: unknown[]) => unknown;

function load() {
  const lib = koffi.load('libdevmapper.so.1.02.1');
  const bind = (prototype: string): Call => lib.func(prototype);
  // Its log goes to stderr, and what failed is told by errno already. Any function that does nothing
  // will do in its place.
  const libc = koffi.load(null);
  bind('void dm_log_init(void *log)')(libc.symbol('getpid', 'void'));
  // Names are passed and returned as the kernel has them.
  bind('int dm_set_name_mangling_mode(int mode)')(0);
  // Waiting for udev takes a System V semaphore, which a killed process would leave behind.
  bind('void dm_udev_set_sync_support(int sync)')(0);
  return {
    strlen: libc.func('size_t strlen(void *text)') as Call,
    memcpy: libc.func('void *memcpy(void *to, void *from, size_t bytes)') as Call,
    create: bind('void *dm_task_create(int type)'),
    destroy: bind('void dm_task_destroy(void *task)'),
    run: lib.func('int dm_task_run(void *task)'),
    errno: bind('int dm_task_get_errno(void *task)'),
    setName: bind('int dm_task_set_name(void *task, const char *name)'),
    setUuid: bind('int dm_task_set_uuid(void *task, const char *uuid)'),
    setDevnum: bind('int dm_task_set_major_minor(void *task, int major, int minor, int fallback)'),
    setReadOnly: bind('int dm_task_set_ro(void *task)'),
    setCookie: bind('int dm_task_set_cookie(void *task, void *cookie, uint16_t flags)'),
    setSecure: bind('int dm_task_secure_data(void *task)'),
    setDeferred: bind('int dm_task_deferred_remove(void *task)'),
    addTarget: bind(
      'int dm_task_add_target(void *task, uint64_t start, uint64_t size, const char *type, void *params)',
    ),
    info: bind('int dm_task_get_info(void *task, void *info)'),
    name: bind('const char *dm_task_get_name(void *task)'),
    uuid: bind('const char *dm_task_get_uuid(void *task)'),
    names: bind('void *dm_task_get_names(void *task)'),
    nextTarget: bind(
      'void *dm_get_next_target(void *task, void *next, void *start, void *length, void *type, void *params)',
    ),
  };
}

/** A line of a table; `params` may hold a key and is the reader's to wipe. */
export interface RawTarget {
  readonly start: bigint;
  readonly length: bigint;
  readonly type: string;
  readonly params: Buffer;
}

function words(count: number): BigUint64Array {
  return new BigUint64Array(count);
}

/** One task of libdevmapper, within `runTask`. */
export class MapperTask {
  readonly #library: Library;
  readonly #task: unknown;

  constructor(library: Library, task: unknown) {
    this.#library = library;
    this.#task = task;
  }

  /** Calls a function of the library with this task. */
  call(name: TaskCall, ...args: unknown[]): unknown {
    return this.#library[name](this.#task, ...args);
  }

  /** The same for a setter, which fails only where the library has no memory. */
  set(name: TaskCall, ...args: unknown[]): void {
    if (this.call(name, ...args) !== 1) throw SystemError.fromErrno(name, 'libdevmapper', 12);
  }

  /** The lines of the table, or nothing where there is no live one. */
  targets(): RawTarget[] {
    const found: RawTarget[] = [];
    const [start, length, type, params] = [words(1), words(1), words(1), words(1)];
    let next: unknown = null;
    do {
      next = this.call('nextTarget', next, start, length, type, params);
      if (type[0] === undefined || type[0] === 0n) break;
      found.push({
        start: start[0] ?? 0n,
        length: length[0] ?? 0n,
        type: koffi.decode.string(type[0]),
        params: this.#copyString(params[0] ?? 0n),
      });
    } while (next !== null);
    return found;
  }

  /** The entries of a list of devices: dev_t in the kernel's long form, and name. */
  names(): { dev: bigint; name: string }[] {
    const found: { dev: bigint; name: string }[] = [];
    // struct dm_names: u64 dev, u32 offset of the next one, name. An empty list is one zero dev.
    for (let entry = this.call('names') as bigint; ; ) {
      const dev = BigInt(koffi.decode.uint64(entry));
      if (dev === 0n) return found;
      found.push({ dev, name: koffi.decode.string(entry + 12n) });
      const offset = koffi.decode.uint32(entry + 8n);
      if (offset === 0) return found;
      entry += BigInt(offset);
    }
  }

  /** A copy that can be wiped, as a JavaScript string cannot. */
  #copyString(pointer: bigint): Buffer {
    if (pointer === 0n) return Buffer.alloc(0);
    const copy = Buffer.alloc(Number(this.#library.strlen(pointer)));
    this.#library.memcpy(copy, pointer, copy.length);
    return copy;
  }

  /** Runs it off the event loop; the errno, 0 for success, -1 where the mapper cannot be reached. */
  run(): Promise<number> {
    const { run, errno } = this.#library;
    return new Promise((resolve, reject) => {
      run.async(this.#task, (failure: Error | null, done: number) => {
        if (failure) reject(failure);
        else resolve(done === 1 ? 0 : Number(errno(this.#task)) || -1);
      });
    });
  }
}

let turn: Promise<unknown> = Promise.resolve();

/**
 * Runs one task: `prepare` sets it up, `read` takes out what it brought. One at a time, as the library
 * keeps state of its own and is not thread-safe. Throws `SystemError` with the errno of the ioctl;
 * `ENODEV` where there is no device-mapper, `ELIBACC` where there is no libdevmapper.
 */
export function runTask<T>(
  { type, name }: (typeof Task)[keyof typeof Task],
  object: string,
  prepare: (task: MapperTask) => void,
  read: (task: MapperTask) => T,
): Promise<T> {
  const mine = turn.then(async () => {
    const lib = openLibrary();
    const pointer = lib.create(type);
    // It asks the kernel for its version first.
    if (pointer === null) throw unreachable();
    try {
      const task = new MapperTask(lib, pointer);
      prepare(task);
      const errno = await task.run();
      if (errno < 0) throw unreachable();
      if (errno > 0) throw SystemError.fromErrno(name, object, errno);
      return read(task);
    } finally {
      lib.destroy(pointer);
    }
  });
  turn = mine.catch(() => undefined);
  return mine;
}

function openLibrary(): Library {
  try {
    library ??= load();
    return library;
  } catch (cause) {
    throw new SystemError(
      'libdevmapper.so.1.02.1 cannot be loaded; it is needed for mapper devices (Debian package libdevmapper1.02.1)',
      { code: 'ELIBACC', syscall: 'dlopen', cause },
    );
  }
}

/** The library only says that it could not talk to the kernel; opening its node says why. */
function unreachable(): SystemError {
  try {
    closeSync(openSync(CONTROL, O_RDWR));
  } catch (error) {
    const code = errorCode(error) ?? '';
    if (!['ENOENT', 'ENODEV', 'ENXIO'].includes(code)) {
      return SystemError.fromNode('open', CONTROL, error);
    }
    return new SystemError(
      'device-mapper is not available: is the kernel module dm_mod loaded (modprobe dm_mod)?',
      { code: 'ENODEV', syscall: 'open', cause: error },
    );
  }
  // dm-ioctl.c, ctl_ioctl: not even the version is told to whoever may not administrate.
  return new SystemError(
    `${CONTROL}: permission denied (EACCES): device-mapper needs root with CAP_SYS_ADMIN`,
    { code: 'EACCES', syscall: 'DM_VERSION' },
  );
}
