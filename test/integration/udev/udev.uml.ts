import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { check } from '../../../src/cli/check.js';
import { inspect } from '../../../src/cli/inspect.js';
import { loadSettings } from '../../../src/cli/setting-sources.js';
import { failure } from '../../bed/assertions.js';
import { startBed } from '../../bed/bed.js';
import { needsFullEffort } from '../../bed/effort.js';
import { attachLoop, devnumOf, type Loop, makeImage } from '../../bed/images.js';
import { mappedNames } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { projectRoot } from '../../bed/paths.js';
import { openStore } from '../../bed/store.js';
import { Udev } from '../../bed/uml/udev.js';
import { HotplugFixture } from '../hotplug/fixture.js';

const run = promisify(execFile);
const MIB = 1024 * 1024;
/** The byte at which the first logical volume starts on its physical volume. */
const FIRST_EXTENT = MIB;
const LUN = 'mpatha';

/**
 * Writes into a disk as a guest does through blkback: through the file below, past the device, so
 * that no process here is told about the write.
 */
function writeAsGuest(file: string, bytes: Buffer, position: number): void {
  const fd = openSync(file, 'r+');
  writeSync(fd, bytes, 0, bytes.length, position);
  closeSync(fd);
}

function bytesOf(file: string, length: number): Buffer {
  const fd = openSync(file, 'r');
  const bytes = Buffer.alloc(length);
  readSync(fd, bytes);
  closeSync(fd);
  return bytes;
}

describe('A real udevd, with the rules of md, kpartx and LVM', () => {
  let udev: Udev;
  let fixture: HotplugFixture;
  let lun: Loop;
  let disk: Loop;
  /** The first bytes of a member of a guest's RAID. */
  let head: Buffer;
  const made: AsyncDisposable[] = [];
  const keep = <T extends AsyncDisposable>(thing: T): T => {
    made.push(thing);
    return thing;
  };
  const volume = '/dev/vg0/guest';

  before(async function () {
    needsFullEffort(this);
    needs(this, 'root', 'loop', 'xenstored', 'mapper', 'udev');
    const bed = keep(await startBed({}));
    fixture = new HotplugFixture(bed, keep(await openStore(bed)));
    const directory = join(bed.directory, 'disks');
    mkdirSync(directory);

    // The file is the only member of a RAID 1. It is made before udevd runs, so that udevd does not
    // see it.
    const member = makeImage(directory, { marker: '', size: 8 * MIB });
    const parted = makeImage(directory, { marker: '', size: 8 * MIB });
    writeAsGuest(parted, partitionTable(), 0);
    const physical = makeImage(directory, { marker: '', size: 32 * MIB });
    const unit = makeImage(directory, { marker: '', size: 8 * MIB });
    {
      await using loop = await attachLoop(member);
      Udev.tool(
        'mdadm',
        ...['--create', '/dev/md77', '--level=1', '--raid-devices=1'],
        ...['--force', '--run', '--metadata=1.2', loop.path],
      );
      Udev.tool('mdadm', '--stop', '/dev/md77');
    }
    udev = await Udev.start();
    const group = keep(await attachLoop(physical));
    Udev.tool('lvm', 'vgcreate', 'vg0', group.path);
    Udev.tool('lvm', ...['lvcreate', '--yes', '--name', 'guest', '--size', '8M', 'vg0']);
    lun = keep(await attachLoop(unit));
    execFileSync('dmsetup', [
      'create',
      LUN,
      '--uuid',
      'mpath-36001',
      '--table',
      `0 16384 linear ${lun.path} 0`,
    ]);
    disk = keep(await attachLoop(parted, { partscan: true }));
    await udev.settle();
    // From here on, running guests write to the disks.
    head = bytesOf(member, 64 * 1024);
    writeAsGuest(physical, head, FIRST_EXTENT);
    writeAsGuest(unit, bytesOf(parted, 64 * 1024), 0);
    await udev.events();
  });

  after(async () => {
    // If the tests were skipped, nothing was made.
    if (made.length === 0) return;
    await udev[Symbol.asyncDispose]();
    Udev.tool('mdadm', '--stop', '--scan');
    execFileSync('dmsetup', ['remove_all'], { env: { ...process.env, DM_DISABLE_UDEV: '1' } });
    for (const thing of made.reverse()) await thing[Symbol.asyncDispose]();
    assert.match(arrays(), /^unused devices/m);
    assert.deepEqual(await mappedNames(), []);
  });

  /** Does `what`, asserts that arrays and mapper devices stay the same, and returns the events. */
  async function consequences(what: () => Promise<unknown>) {
    const seen = () => ({
      arrays: arrays(),
      mapped: execFileSync('dmsetup', ['ls'], { encoding: 'utf8' }).split('\n').sort(),
    });
    const before = seen();
    await udev.events();
    await what();
    const events = await udev.events();
    assert.deepEqual(seen(), before);
    return events;
  }

  const targets = () => [volume, `/dev/mapper/${LUN}`, `${disk.path}p1`, disk.path];

  for (const mode of ['w', 'r'] as const) {
    it(`is told nothing while guests' disks are attached and detached with mode ${mode}`, async () => {
      const events = await consequences(async () => {
        for (const target of mode === 'w' ? targets() : [volume]) {
          const vbd = await fixture.vbd(target, { mode });
          await fixture.attach(vbd);
          await fixture.delete(vbd);
          await fixture.detach(vbd);
        }
      });
      assert.deepEqual(events, []);
    });
  }

  it('is told nothing while they are inspected and checked', async () => {
    const { store } = fixture;
    const settings = loadSettings({ XEN_BLKBACK_SYSFS: fixture.blkback.sysfs });
    const signal = AbortSignal.timeout(20_000);
    const invocation = { settings: () => settings };
    const context = { store, settings, signal, invocation, onStep: () => undefined };
    const events = await consequences(async () => {
      for (const target of [volume, disk.path]) {
        for (const command of [inspect, check]) {
          const outcome = await command(context, { target, mode: 'w', frontend: undefined });
          assert.equal(outcome.status, 0, outcome.text);
        }
      }
    });
    assert.deepEqual(events, []);
  });

  it('keeps from a guest’s image what the rule in docs/targets.md keeps from it', async () => {
    const image = makeImage(fixture.bed.images, { marker: '', size: 8 * MIB });
    writeAsGuest(image, head, 0);
    writeFileSync('/run/udev/rules.d/10-guests.rules', ruleFor(fixture.bed.images));
    await run('udevadm', ['control', '--reload']);
    await consequences(async () => {
      const vbd = await fixture.vbd(image);
      await fixture.attach(vbd);
      await udev.settle();
      assert.equal(arrays().includes('loop'), false);
      await fixture.delete(vbd);
      await fixture.detach(vbd);
    });
    rmSync('/run/udev/rules.d/10-guests.rules');
    await run('udevadm', ['control', '--reload']);
    // Without the rule, the kernel's own event makes udev assemble the array, as after losetup.
    const vbd = await fixture.vbd(image);
    await fixture.attach(vbd);
    await udev.settle();
    assert.match(arrays(), /active raid1 loop/);
    Udev.tool('mdadm', '--stop', '--scan');
    await fixture.delete(vbd);
    await fixture.detach(vbd);
  });

  it('is told nothing of a file that blkback has open already', async () => {
    const vbd = await fixture.vbd(fixture.image());
    await fixture.blkback.hold('open', vbd.key);
    const attached = fixture.attach(vbd, { timeoutMs: 20_000 });
    await fixture.logged(vbd, 'physical-device');
    // The kernel has sent the event of the loop device, and udev watches the device by now.
    await udev.events();
    await fixture.blkback.release('open', vbd.key);
    await attached;
    assert.deepEqual(await udev.events(), []);
    await fixture.delete(vbd);
    await fixture.detach(vbd);
  });

  it("makes an administrator's link that a guest can have, though it looks like LVM's", async () => {
    const rule = 'SUBSYSTEM=="block", ENV{DM_NAME}=="vg0-plain", SYMLINK+="guests/web1"';
    writeFileSync('/run/udev/rules.d/90-guests.rules', `${rule}\n`);
    await run('udevadm', ['control', '--reload']);
    Udev.tool('lvm', ...['lvcreate', '--yes', '--name', 'plain', '--size', '4M', 'vg0']);
    await udev.settle();
    const vbd = await fixture.vbd('/dev/guests/web1', { mode: 'r' });
    await fixture.attach(vbd);
    const opened = await fixture.logged(vbd, 'opened');
    assert.equal(opened.dev, devnumOf('/dev/vg0/plain'));
    await fixture.delete(vbd);
    await fixture.detach(vbd);
    // udev is stopped, and the number now belongs to another volume.
    udev.pause();
    try {
      const options = { env: { ...process.env, DM_DISABLE_UDEV: '1' } };
      execFileSync('dmsetup', ['rename', 'vg0-plain', 'vg0-other'], options);
      const stale = await fixture.vbd('/dev/guests/web1', { mode: 'r' });
      await failure('EIDENTITY', fixture.attach(stale));
      await fixture.delete(stale);
      execFileSync('dmsetup', ['rename', 'vg0-other', 'vg0-plain'], options);
    } finally {
      udev.resume();
    }
    Udev.tool('lvm', 'lvremove', '--yes', 'vg0/plain');
  });

  it('would assemble the guest’s array and map its partitions, were it told (control)', async () => {
    execFileSync('udevadm', [
      'trigger',
      '--action=change',
      '--settle',
      volume,
      `/dev/mapper/${LUN}`,
    ]);
    assert.match(arrays(), /active raid1 dm-/);
    assert.match(execFileSync('dmsetup', ['ls'], { encoding: 'utf8' }), /mpatha-part1/);
  });
});

/** Returns a DOS partition table with one Linux partition of 1 MiB, from the second MiB on. */
function partitionTable(): Buffer {
  const sector = Buffer.alloc(512);
  sector.writeUInt8(0x83, 446 + 4);
  sector.writeUInt32LE(2048, 446 + 8);
  sector.writeUInt32LE(2048, 446 + 12);
  sector.writeUInt16LE(0xaa55, 510);
  return sector;
}

/** Returns the rule of docs/targets.md for images in another directory. */
function ruleFor(directory: string): string {
  const text = readFileSync(join(projectRoot, 'docs/targets.md'), 'utf8');
  const rule = /^SUBSYSTEM=="block".*nowatch"$/m.exec(text)?.[0];
  assert.ok(rule);
  return rule.replace('/var/lib/xen/images', directory);
}

function arrays(): string {
  return readFileSync('/proc/mdstat', 'utf8');
}
