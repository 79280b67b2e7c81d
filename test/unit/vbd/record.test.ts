import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { repair } from '../../../src/audit/repair.js';
import { detach } from '../../../src/hotplug/detach.js';
import {
  parseRecord,
  placeRecord,
  readRecord,
  readRecordLeniently,
  removeRecord,
  type VbdRecord,
  writeRecord,
} from '../../../src/vbd/record.js';
import { parseVbdPath, type VbdPath } from '../../../src/vbd/vbd-path.js';
import { MemoryXenstored } from '../../store/memory.js';

const vbd = parseVbdPath('backend/vbd/7/51712') as VbdPath;
const record: VbdRecord = {
  devnum: { major: 7, minor: 1048575 },
  diskseq: (1n << 64n) - 1n,
  path: '/dev/mapper/a "quoted"\nnäme',
  unbind: true,
};

describe('A vbd record', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'record-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  it('is read as it was written', async () => {
    writeRecord(directory, vbd, record);
    assert.deepEqual(readRecord(directory, vbd), record);
    writeRecord(directory, vbd, { ...record, unbind: false });
    assert.deepEqual(readRecord(directory, vbd), { ...record, unbind: false });
  });

  it('belongs to one vbd only', async () => {
    writeRecord(directory, vbd, record);
    const other = parseVbdPath('backend/vbd/7/51728') as VbdPath;
    assert.equal(readRecord(directory, other), undefined);
    removeRecord(directory, other);
    assert.deepEqual(readRecord(directory, vbd), record);
  });

  it('is for its owner alone, and so is a directory that had to be made', async () => {
    const made = join(directory, 'a/b');
    writeRecord(made, vbd, record);
    assert.equal((await stat(made)).mode & 0o777, 0o700);
    const [name, ...others] = await readdir(made);
    assert.deepEqual([name, others], ['vbd-7-51712.json', []]);
    assert.equal((await stat(join(made, name ?? ''))).mode & 0o777, 0o600);
  });

  it('does not exist in a directory that does not exist', async () => {
    assert.equal(readRecord(join(directory, 'none'), vbd), undefined);
    removeRecord(join(directory, 'none'), vbd);
  });

  it('survives what a killed writer left, and takes it away', async () => {
    const leftover = join(directory, 'vbd-7-51712.json.new');
    await writeFile(leftover, '{"device":"7:');
    assert.equal(readRecord(directory, vbd), undefined);
    writeRecord(directory, vbd, record);
    assert.deepEqual(await readdir(directory), ['vbd-7-51712.json']);
    assert.deepEqual(readRecord(directory, vbd), record);
    await writeFile(leftover, 'x'.repeat(10_000));
    removeRecord(directory, vbd);
    assert.deepEqual(await readdir(directory), []);
  });

  it('is whole at any moment while two processes write it', async () => {
    writeRecord(directory, vbd, record);
    const writers = ['/dev/loop1', `/dev/${'x'.repeat(3000)}`].map(startWriter);
    const ends = Promise.all(writers.map((writer) => once(writer, 'exit')));
    let ended = false;
    ends.finally(() => {
      ended = true;
    });
    const seen = new Set<number | undefined>();
    while (!ended) {
      seen.add(readRecord(directory, vbd)?.path.length);
      await setImmediate();
    }
    assert.deepEqual(
      (await ends).map(([status]) => status),
      [0, 0],
    );
    assert.ok(seen.size > 2, 'they did not write at the same time');
    assert.ok(!seen.has(undefined), 'it was seen empty or in part');
    assert.deepEqual(await readdir(directory), ['vbd-7-51712.json']);
  });

  /** Starts a process that writes the record again and again for a moment. */
  const startWriter = (path: string): ChildProcess => {
    const module = new URL('../../../src/vbd/record.js', import.meta.url).href;
    const text = JSON.stringify({ ...record, path, diskseq: '1' });
    const program = `
      import { writeRecord } from ${JSON.stringify(module)};
      const vbd = ${JSON.stringify(vbd)};
      const record = { ...${text}, diskseq: 1n };
      const end = performance.now() + 300;
      while (performance.now() < end) writeRecord(${JSON.stringify(directory)}, vbd, record);
    `;
    const args = ['--input-type=module', '--eval', program];
    return spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  };

  it('leaves the file of a process that is still writing, and removes that of a killed one', async () => {
    const dead = spawn('true');
    await once(dead, 'exit');
    const [writing, left] = [process.ppid, dead.pid].map((pid) => `vbd-7-51712.json.${pid}.new`);
    for (const act of [
      () => writeRecord(directory, vbd, record),
      () => removeRecord(directory, vbd),
    ]) {
      for (const name of [writing, left]) await writeFile(join(directory, name ?? ''), '{');
      act();
      const names = await readdir(directory);
      assert.deepEqual([names.includes(writing ?? ''), names.includes(left ?? '')], [true, false]);
    }
  });

  it('of another add of the same vbd stands there again when the later one is taken back', () => {
    const other = { ...record, diskseq: 7n };
    placeRecord(directory, vbd, record);
    const takeBack = placeRecord(directory, vbd, other);
    assert.deepEqual(readRecord(directory, vbd), other);
    takeBack();
    assert.deepEqual(readRecord(directory, vbd), record);
  });

  it('is not taken back by an add whose record another one has replaced', () => {
    const takeBack = placeRecord(directory, vbd, record);
    const other = { ...record, diskseq: 7n };
    placeRecord(directory, vbd, other);
    takeBack();
    assert.deepEqual(readRecord(directory, vbd), other);
  });

  it('is not taken back by an add whose device another one has adopted', () => {
    const takeBack = placeRecord(directory, vbd, record);
    placeRecord(directory, vbd, record);
    takeBack();
    assert.deepEqual(readRecord(directory, vbd), record);
  });

  it('is gone when it is taken back and there was none before', () => {
    placeRecord(directory, vbd, record)();
    assert.equal(readRecord(directory, vbd), undefined);
  });

  describe('that the kernel does not let this process read', () => {
    let path: string;
    beforeEach(async () => {
      path = join(directory, 'vbd-7-51712.json');
      // Nothing is mapped at address 0, so that this file cannot be read (EIO).
      await symlink('/proc/self/mem', path);
    });

    it('is not taken for none', () => {
      assert.throws(() => readRecordLeniently(directory, vbd), { code: 'ERECORD' });
    });

    it('is not replaced', async () => {
      assert.throws(() => placeRecord(directory, vbd, record), { code: 'ERECORD' });
      assert.equal(await readlink(path), '/proc/self/mem');
    });

    it('is no stray file for gc', async () => {
      const options = { timeoutMs: 1000, sysfs: '/sys', runDirectory: directory };
      await using store = new MemoryXenstored().connect();
      await assert.rejects(repair(store, { action: 'remove-file', path }, options), {
        code: 'ERECORD',
      });
      assert.equal(await readlink(path), '/proc/self/mem');
    });

    it('is left by a remove, which says so', async () => {
      const sysfs = join(directory, 'sysfs');
      await mkdir(join(sysfs, 'bus'), { recursive: true });
      const options = { timeoutMs: 1000, sysfs, runDirectory: directory };
      await using store = new MemoryXenstored().connect();
      await store.write('domid', '0');
      await assert.rejects(detach(store, vbd, options), { code: 'ERECORD' });
      assert.equal(await readlink(path), '/proc/self/mem');
    });
  });

  it('can be removed twice', async () => {
    writeRecord(directory, vbd, record);
    removeRecord(directory, vbd);
    removeRecord(directory, vbd);
    assert.equal(readRecord(directory, vbd), undefined);
  });
});

describe('parseRecord', () => {
  const good = { device: '7:3', diskseq: '12', path: '/dev/loop3', unbind: true };
  const expected = {
    devnum: { major: 7, minor: 3 },
    diskseq: 12n,
    path: '/dev/loop3',
    unbind: true,
  };

  it('reads a whole record', () => {
    assert.deepEqual(parseRecord(JSON.stringify(good)), expected);
  });

  it('takes anything but true for a device that is not to be unbound', () => {
    for (const unbind of [undefined, false, 'true', 1, null]) {
      const found = parseRecord(JSON.stringify({ ...good, unbind }));
      assert.deepEqual(found, { ...expected, unbind: false });
    }
  });

  const garbage: readonly string[] = [
    '',
    '{',
    'null',
    '1',
    '"x"',
    '[]',
    '{}',
    '\0\0\0\0',
    ...[
      { device: undefined },
      { device: 7 },
      { device: 'fd:0' },
      { device: '7:3:1' },
      { device: '-7:3' },
      { diskseq: undefined },
      { diskseq: '0' },
      { diskseq: '-1' },
      { diskseq: '0x1f' },
      { diskseq: '1'.repeat(21) },
      { path: undefined },
      { path: 5 },
    ].map((change) => JSON.stringify({ ...good, ...change })),
  ];
  for (const text of garbage) {
    it(`does not take ${JSON.stringify(text)} for one`, () => {
      assert.equal(parseRecord(text), undefined);
    });
  }
});
