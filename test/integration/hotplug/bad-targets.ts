import { execFileSync } from 'node:child_process';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { Loop } from '../../bed/images.js';
import type { HotplugFixture, VbdChange } from './fixture.js';

/** A target that an attach has to refuse. */
export interface Case {
  readonly name: string;
  /** Makes the faulty target, and returns `params`. */
  readonly params?: (fixture: HotplugFixture) => string | Promise<string>;
  /** The bytes of `params`, which no sane toolstack would write. */
  readonly bytes?: Buffer;
  readonly vbd?: VbdChange;
  readonly code: string;
  readonly says: RegExp;
  /** Runs the script too, and checks all that it writes and prints. */
  readonly script?: true;
}

const file = (fixture: HotplugFixture) => fixture.image();
/** Returns the path of a file in the directory of images. */
export const inImages = (fixture: HotplugFixture, name: string) => join(fixture.bed.images, name);

/** The targets that an attach has to refuse. */
export const CASES: readonly Case[] = [
  {
    name: 'there is no params',
    vbd: { omit: ['params'] },
    code: 'EBACKEND',
    says: /no params node/,
  },
  { name: 'params is empty', params: () => '', code: 'ETARGET', says: /it is empty/, script: true },
  {
    name: 'params has a NUL',
    bytes: Buffer.from('/a\0b'),
    code: 'ETARGET',
    says: /NUL/,
    script: true,
  },
  {
    name: 'params names a file, not in UTF-8, that is not there',
    bytes: Buffer.from([0x2f, 0xff, 0xfe]),
    code: 'ENOENT',
    says: /"\/\\xff\\xfe": no such file/,
    script: true,
  },
  {
    name: 'params has 4 kB of one name',
    params: () => `/${'x'.repeat(4000)}`,
    code: 'ENAMETOOLONG',
    says: /file name too long/,
    script: true,
  },
  {
    name: 'params has 4 kB of directories',
    params: () => '/y'.repeat(2000),
    code: 'ENOENT',
    says: /no such file or directory/,
  },
  {
    name: 'params has 4 kB of nonsense',
    params: () => 'z'.repeat(4000),
    code: 'ENAMETOOLONG',
    says: /file name too long/,
  },
  {
    name: 'params has a line break and an escape sequence',
    params: () => 'key\n\u001b[31m\u2028=x',
    code: 'ETARGET',
    says: /unknown key/,
    script: true,
  },
  {
    name: 'a key is unknown',
    params: () => 'path=/x,colour=red',
    code: 'ETARGET',
    says: /"colour"/,
  },
  {
    name: 'a key stands twice',
    params: () => 'path=/x,path=/y',
    code: 'ETARGET',
    says: /"path" stands twice/,
  },
  {
    name: 'a value is missing',
    params: () => 'path=',
    code: 'ETARGET',
    says: /"path" has no value/,
  },
  {
    name: 'the path is relative',
    params: () => 'path=x/y',
    code: 'ETARGET',
    says: /must be absolute/,
  },
  { name: 'params is a bare word', params: () => 'disk.img', code: 'ENOENT', says: /disk\.img/ },
  {
    name: 'the block size is odd',
    params: (fixture) => `path=${file(fixture)},block-size=513`,
    code: 'ETARGET',
    says: /block-size="513"/,
  },
  {
    name: 'only a mapper device could have what is asked of a file',
    params: (fixture) => `path=${file(fixture)},deferred-remove=yes`,
    code: 'ENOTMAPPER',
    says: /deferred-remove .* regular file/,
  },
  {
    name: 'there is no mode',
    params: file,
    vbd: { omit: ['mode'] },
    code: 'EBACKEND',
    says: /no mode node/,
  },
  {
    name: 'mode is nonsense',
    params: file,
    vbd: { mode: 'x' },
    code: 'EMODE',
    says: /mode is "x"/,
  },
  { name: 'mode is empty', params: file, vbd: { mode: '' }, code: 'EMODE', says: /mode is ""/ },
  {
    name: 'there is no dev',
    params: file,
    vbd: { omit: ['dev'] },
    code: 'EBACKEND',
    says: /no dev node/,
  },
  {
    name: 'there is no such file',
    params: (fixture) => inImages(fixture, 'nothing'),
    code: 'ENOENT',
    says: /nothing: no such file or directory/,
    script: true,
  },
  {
    name: 'a link leads nowhere',
    params: (fixture) => link(fixture, inImages(fixture, 'nothing')),
    code: 'ENOENT',
    says: /no such file or directory/,
  },
  {
    name: 'links go round in circles',
    params: (fixture) => link(fixture, inImages(fixture, 'link')),
    code: 'ELOOP',
    says: /symbolic links/,
  },
  {
    name: 'a component of the path is a file',
    params: (fixture) => `${file(fixture)}/x`,
    code: 'ENOTDIR',
    says: /not a directory/,
  },
  {
    name: 'the target is a directory',
    params: (fixture) => fixture.bed.images,
    code: 'ENOTDISK',
    says: /is a directory/,
    script: true,
  },
  { name: 'the target is a FIFO', params: makeFifo, code: 'ENOTDISK', says: /is a FIFO/ },
  {
    name: 'the target is a character device',
    params: () => '/dev/zero',
    code: 'ENOTDISK',
    says: /is a character device/,
  },
  {
    name: 'the target is a socket',
    params: (fixture) => fixture.bed.xenstored.socketPath,
    code: 'ENOTDISK',
    says: /is a socket/,
  },
  {
    name: 'the file is empty',
    params: (fixture) => fixture.image('', { size: 0 }),
    code: 'EWINDOW',
    says: /has 0 bytes/,
    script: true,
  },
  {
    name: 'the file is smaller than a block',
    params: (fixture) => fixture.image('x', { size: 511 }),
    code: 'EWINDOW',
    says: /less than one block of 512 bytes/,
  },
  {
    name: 'the file does not come out even in blocks',
    params: (fixture) => `path=${fixture.image('x', { size: 4096 + 512 })},block-size=4096`,
    code: 'EWINDOW',
    says: /not a multiple of the block size 4096/,
  },
  {
    name: 'the part reaches beyond the end of the file',
    params: (fixture) => `path=${file(fixture)},offset=1048064,size=1024`,
    code: 'EWINDOW',
    says: /beyond its end/,
  },
  {
    name: 'the part begins at the end of the file',
    params: (fixture) => `path=${file(fixture)},offset=1048576`,
    code: 'EWINDOW',
    says: /less than one block/,
  },
  {
    name: 'a file is to have a diskseq',
    params: (fixture) => `path=${file(fixture)},diskseq=5`,
    code: 'EIDENTITY',
    says: /regular file/,
  },
  {
    name: 'no disk has the diskseq',
    params: () => 'diskseq=0xfffffffffffffff0',
    code: 'ENOENT',
    says: /18446744073709551600/,
    script: true,
  },
  {
    name: "udev's link by number is to a number that no disk has",
    params: () => '/dev/disk/by-diskseq/18446744073709551600',
    code: 'ENOENT',
    says: /18446744073709551600/,
  },
];

/** Cases that need a loop device of the test's own. */
export const DISK_CASES: readonly {
  readonly name: string;
  readonly readOnly?: true;
  readonly params: (loop: Loop) => string;
  readonly code: string;
  readonly says: RegExp;
}[] = [
  {
    name: 'the disk has another diskseq',
    params: ({ path, diskseq }) => `path=${path},diskseq=${BigInt(diskseq) + 1n}`,
    code: 'EIDENTITY',
    says: /diskseq \d+ was expected, \d+ found/,
  },
  {
    name: 'the disk has no such partition',
    params: ({ diskseq }) => `diskseq=${diskseq},partition=9`,
    code: 'ENOENT',
    says: /no partition 9/,
  },
  {
    name: 'the disk is read-only and to be written',
    readOnly: true,
    params: ({ path }) => path,
    code: 'EREADONLY',
    says: /read-only/,
  },
  {
    name: 'a disk is given what only a file has',
    params: ({ path }) => `path=${path},offset=512,autoclear=no`,
    code: 'ENOTDISK',
    says: /offset, autoclear can only be set for a file/,
  },
];

/** Makes a link to a path, and returns the path of the link. */
export function link(fixture: HotplugFixture, target: string): string {
  const path = inImages(fixture, 'link');
  symlinkSync(target, path);
  return path;
}

/** Makes a FIFO, and returns its path. */
export function makeFifo(fixture: HotplugFixture): string {
  const path = inImages(fixture, 'fifo');
  execFileSync('mkfifo', [path]);
  return path;
}
