import assert from 'node:assert/strict';
import {
  expectedNameOfPath,
  isCurrentLink,
  mangle,
  sameMapperName,
  unmangle,
} from '../../../../src/block/mapper/mapper-name.js';

describe('mangle and unmangle', () => {
  for (const [name, mangled] of [
    ['vg0-root', 'vg0-root'],
    ['a b', 'a\\x20b'],
    ['#+-.:=@_', '#+-.:=@_'],
    ['ü', '\\xc3\\xbc'],
    ['a/b', 'a\\x2fb'],
    ['back\\slash', 'back\\x5cslash'],
  ] as const) {
    it(`writes ${name} as ${mangled}, and reads it back`, () => {
      assert.equal(mangle(name), mangled);
      assert.equal(unmangle(mangled), name);
    });
  }

  it('leave alone what is mangled already', () => {
    assert.equal(mangle('a\\x20b'), 'a\\x20b');
  });

  it('leave alone a backslash that begins no code', () => {
    assert.equal(unmangle('a\\xzz\\x'), 'a\\xzz\\x');
  });
});

describe('sameMapperName', () => {
  it('takes two spellings of one name for the same', () => {
    assert.ok(sameMapperName('a b', 'a\\x20b'));
    assert.ok(sameMapperName('a\\x20b', 'a\\x20b'));
  });

  it('tells names apart, also those that begin alike', () => {
    assert.ok(!sameMapperName('root', 'root-cow'));
    assert.ok(!sameMapperName('', 'a'));
  });
});

describe('expectedNameOfPath', () => {
  it('is what /dev/mapper and the by-id links say', async () => {
    assert.equal((await expectedNameOfPath('/dev/mapper/x'))?.name, 'x');
    assert.equal((await expectedNameOfPath('/dev/disk/by-id/dm-name-x-y'))?.name, 'x-y');
    assert.equal((await expectedNameOfPath('/dev/disk/by-id/dm-uuid-LVM-abc'))?.uuid, 'LVM-abc');
  });

  it('is the same for a path with more slashes than it needs', async () => {
    for (const path of ['//dev/mapper/x', '/dev//mapper/x', '/dev/./mapper/.//x']) {
      assert.equal((await expectedNameOfPath(path))?.name, 'x', path);
    }
    assert.equal((await expectedNameOfPath('/dev/disk//by-id/dm-name-x'))?.name, 'x');
  });

  it('is none for a path that says nothing of a mapper device', async () => {
    for (const path of ['/dev/dm-3', '/dev/sda', '/srv/mapper/x', '/dev/disk/by-id/wwn-0x5']) {
      assert.equal(await expectedNameOfPath(path), undefined, path);
    }
  });
});

describe('isCurrentLink', () => {
  const entry = { links: ['guests/web1', 'mapper/vg0-a b'], mapperName: 'vg0-a\\x20b' };
  it('knows a link that udev has made for the device', () => {
    assert.equal(isCurrentLink('/dev/guests/web1', 'vg0-a b', entry), true);
  });

  it('knows none where udev has not seen that device yet, or has not made that link', () => {
    assert.equal(isCurrentLink('/dev/guests/web1', 'crypt-x', entry), false);
    assert.equal(isCurrentLink('/dev/guests/web2', 'vg0-a b', entry), false);
    assert.equal(isCurrentLink('/dev/guests/web1', 'vg0-a b', undefined), false);
    assert.equal(isCurrentLink('/dev/guests/../x/web1', 'vg0-a b', entry), false);
  });
});
