import assert from 'node:assert/strict';
import { closeSync, fsyncSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { failure, only } from '../../bed/assertions.js';
import { devnumOf } from '../../bed/images.js';
import { dmsetup, linear } from '../../bed/mapper.js';
import { needs } from '../../bed/needs.js';
import { deleteVbd, type Vbd } from '../../bed/toolstack.js';
import { type HotplugFixture, MARKER } from '../hotplug/fixture.js';
import { type Bench, layers, settled, withMapper } from './bench.js';

const PLAIN = 'what the guest writes, in plain text. ';
const KINDS = ['linear', 'crypt'] as const;

/** The storage below a layer. Each function makes it and returns its path. */
const BASES: readonly [string, (fixture: HotplugFixture, bench: Bench) => Promise<string>][] = [
  ['a file', async (fixture) => fixture.image()],
  ['a disk', async (_fixture, bench) => (await bench.disk(MARKER)).path],
  ['a mapper device', async (_fixture, bench) => (await bench.linear(MARKER)).path],
];

describe('layer', () => {
  before(function () {
    needs(this, 'root', 'loop', 'xenstored', 'mapper');
  });

  for (const kind of KINDS) {
    for (const [title, base] of BASES) {
      it(
        `${kind} over ${title}: blkback has the layer, and it goes with the guest`,
        withMapper({ guise: 'diskseq' }, async (fixture, bench) => {
          const path = await base(fixture, bench);
          const vbd = await fixture.vbd(`path=${path},layer=${kind}`);
          await fixture.attach(vbd);
          const layer = only(await layers());
          assert.match(layer.name, new RegExp(`^xenvbd-${vbd.key.replace('/', '-')}-[0-9a-f]+$`));
          assert.match(layer.uuid, /^XENVBD-7-51712-[0-9a-f]+$/);
          assert.equal(layer.type, kind);
          assert.ok(layer.deferred, 'it is not marked for deferred removal');
          const opened = await fixture.logged(vbd, 'opened');
          assert.equal(opened.dev, devnumOf(layer.kernelPath));
          assert.equal(opened.size, 1024 * 1024);
          if (kind === 'linear') assert.equal(opened.bytes, MARKER);
          else assert.notEqual(opened.bytes, MARKER);
          assert.deepEqual(await fixture.nodes(vbd, 'physical-device', 'hotplug-status'), [
            opened.dev,
            'connected',
          ]);
          await assertGoesWithNodes(fixture, vbd);
        }),
      );
    }

    it(
      `${kind}: another add finds it, and makes no second one`,
      withMapper({}, async (fixture) => {
        const vbd = await fixture.vbd(`path=${fixture.image()},layer=${kind}`);
        await fixture.attach(vbd);
        assert.equal((await fixture.attach(vbd)).already, true);
        only(await layers());
        only(fixture.loops());
      }),
    );

    for (const guise of ['stock', 'diskseq'] as const) {
      it(
        `${kind}: a ${guise} blkback that cannot open it leaves neither layer nor loop device`,
        withMapper({ guise, failOpen: 5 }, async (fixture) => {
          const vbd = await fixture.vbd(`path=${fixture.image()},layer=${kind}`);
          const error = await failure('EBLKBACK', fixture.attach(vbd));
          // The kernel removes the layer on a thread of its own.
          await settled(async () => assert.deepEqual(await layers(), []));
          await fixture.assertTakenBack(vbd, error);
        }),
      );
    }

    it(
      `${kind} follows the sector size of what is below`,
      withMapper({}, async (fixture) => {
        const vbd = await fixture.vbd(`path=${fixture.image()},block-size=4096,layer=${kind}`);
        await fixture.attach(vbd);
        assert.equal((await fixture.logged(vbd, 'opened')).sectorSize, 4096);
      }),
    );

    it(
      `${kind} over a mapper device that is then to go with the guest`,
      withMapper({}, async (fixture, bench) => {
        const disk = await bench.disk(MARKER);
        const { name } = await bench.mapped('bench-base', linear(disk.path));
        const params = `dm-name=${name},layer=${kind},deferred-remove=yes`;
        const vbd = await fixture.vbd(params);
        await fixture.attach(vbd);
        await deleteVbd(fixture.store, vbd);
        await fixture.logged(vbd, 'closed');
        assert.deepEqual(await bench.mappedLeft(), []);
      }),
    );
  }

  it(
    'linear over a read-only disk is read-only, and refused for writing',
    withMapper({}, async (fixture, bench) => {
      const disk = await bench.disk(MARKER, { readOnly: true });
      const vbd = await fixture.vbd(`path=${disk.path},layer=linear`, { mode: 'r' });
      await fixture.attach(vbd);
      assert.equal((await fixture.logged(vbd, 'opened')).readOnly, 1);
      await fixture.delete(vbd);
      await fixture.detach(vbd);
      for (const kind of KINDS) {
        const writer = await fixture.vbd(`path=${disk.path},layer=${kind}`);
        const error = await failure('EREADONLY', fixture.attach(writer));
        assert.deepEqual(await layers(), []);
        await fixture.assertTakenBack(writer, error);
      }
    }),
  );

  it(
    'crypt for a guest that only reads is refused: there is nothing to read',
    withMapper({}, async (fixture) => {
      const vbd = await fixture.vbd(`path=${fixture.image()},layer=crypt`, { mode: 'r' });
      const error = await failure('EMODE', fixture.attach(vbd));
      assert.match(error.message, /layer=crypt needs mode w/);
    }),
  );

  it(
    'crypt: what is written is read back, and no plaintext of it is in the file',
    withMapper({}, async (fixture) => {
      const file = fixture.image();
      const vbd = await fixture.vbd(`path=${file},layer=crypt`);
      await fixture.attach(vbd);
      const { kernelPath } = only(await layers());
      const text = Buffer.alloc(4096, PLAIN);
      write(kernelPath, text);
      assert.deepEqual(readBack(kernelPath, text.length), text);
      await assertGoesWithNodes(fixture, vbd);
      const stored = readFileSync(file);
      assert.ok(!stored.includes(PLAIN), 'the plaintext is in the file');
      assert.notDeepEqual(stored.subarray(0, 4096), Buffer.alloc(4096), 'nothing was written');
    }),
  );

  it(
    'crypt: no two attaches share a key',
    withMapper({}, async (fixture) => {
      const file = fixture.image();
      const keys = new Set<string>();
      const stored = new Set<string>();
      const text = Buffer.alloc(4096, PLAIN);
      for (let i = 0; i < 3; i++) {
        const vbd = await fixture.vbd(`path=${file},layer=crypt`);
        await fixture.attach(vbd);
        const { name, kernelPath } = only(await layers());
        keys.add(await keyOf(name));
        write(kernelPath, text);
        await assertGoesWithNodes(fixture, vbd);
        stored.add(readFileSync(file).subarray(0, 4096).toString('hex'));
      }
      assert.equal(keys.size, 3);
      assert.equal(stored.size, 3);
      for (const key of keys) assert.match(key, /^[0-9a-f]{128}$/);
    }),
  );

  it(
    'crypt: the key is in no log, node or record',
    withMapper({ guise: 'diskseq' }, async (fixture) => {
      const vbd = await fixture.vbd(`path=${fixture.image()},layer=crypt`);
      const { stdout, stderr, status } = await fixture.script(vbd, 'add');
      assert.equal(status, 0);
      const key = await keyOf(only(await layers()).name);
      const shown = [
        stdout,
        stderr,
        readFileSync(fixture.blkback.logFile, 'latin1'),
        JSON.stringify(await fixture.directory(vbd)),
        ...fixture
          .records()
          .map((name) => readFileSync(`${fixture.bed.runDirectory}/${name}`, 'utf8')),
        ...['show', 'inspect'].map(
          async (command) =>
            (
              await fixture.cli([
                command,
                ...(command === 'show' ? [vbd.backendPath] : []),
                '--json',
              ])
            ).stdout,
        ),
      ];
      for (const text of await Promise.all(shown)) assert.ok(!text.includes(key), text);
    }),
  );

  it(
    'gets no number that a vbd names, as blkback may still open the number for that guest',
    withMapper({}, async (fixture) => {
      const left = await fixture.vbd(`path=${fixture.image()},layer=linear`);
      await fixture.blkback.hold('open', left.key);
      const adding = fixture.startScript(left, 'add');
      await fixture.logged(left, 'physical-device');
      adding.process.kill('SIGKILL');
      await adding.ended;
      await settled(async () => assert.deepEqual(await layers(), []));
      const vbd = await fixture.vbd(`path=${fixture.image()},layer=linear`);
      await fixture.attach(vbd);
      const numbers = await Promise.all(
        [left, vbd].map((one) => fixture.node(one, 'physical-device')),
      );
      assert.notEqual(numbers[0], numbers[1]);
      // Nothing is left of the device that kept the number taken.
      only(await layers());
      await fixture.blkback.release('open', left.key);
    }),
  );

  it(
    'over a file: nobody else gets the file while blkback may still open the layer',
    withMapper({}, async (fixture) => {
      const params = `path=${fixture.image()},layer=linear`;
      const first = await fixture.vbd(params);
      await fixture.blkback.hold('open', first.key);
      const attached = fixture.attach(first).catch(() => undefined);
      await fixture.logged(first, 'physical-device');
      // Nothing names the layer any more, which this process holds for blkback.
      await fixture.detach(first);
      const second = await fixture.vbd(params, { frontend: 8 });
      try {
        await failure('EBUSY', fixture.attach(second));
      } finally {
        await fixture.blkback.release('open', first.key);
        await attached;
      }
    }),
  );

  for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
    it(
      `crypt: after ${signal} right after blkback has opened it, the kernel alone cleans up`,
      withMapper({ guise: 'diskseq', hold: true }, async (fixture) => {
        const file = fixture.image();
        const vbd = await fixture.vbd(`path=${file},layer=crypt`);
        const adding = fixture.startScript(vbd, 'add');
        await fixture.logged(vbd, 'physical-device');
        fixture.blkback.kill('SIGUSR1');
        await fixture.logged(vbd, 'opened');
        adding.process.kill(signal);
        await adding.ended;
        only(await layers());
        await assertGoesWithNodes(fixture, vbd);
        assert.deepEqual(fixture.records(), []);
      }),
    );
  }
});

function write(device: string, data: Buffer): void {
  const fd = openSync(device, 'r+');
  writeSync(fd, data, 0, data.length, 0);
  fsyncSync(fd);
  closeSync(fd);
}

function readBack(device: string, length: number): Buffer {
  const fd = openSync(device, 'r');
  const data = Buffer.alloc(length);
  readSync(fd, data, 0, length, 0);
  closeSync(fd);
  return data;
}

/** Returns the key of a crypt device in hex. */
async function keyOf(name: string): Promise<string> {
  return (await dmsetup('table', '--showkeys', name)).split(' ')[4] ?? '';
}

/**
 * Asserts that the layer goes when blkback closes the device, after its nodes are gone. No other
 * process does anything.
 */
async function assertGoesWithNodes(fixture: HotplugFixture, vbd: Vbd): Promise<void> {
  await deleteVbd(fixture.store, vbd);
  await fixture.logged(vbd, 'closed');
  await settled(async () => {
    assert.deepEqual(await layers(), []);
    assert.deepEqual(fixture.loops(), []);
  });
}
