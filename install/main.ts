#!/usr/bin/env node
// The program of npm run install:dom0 and npm run uninstall:dom0, which docs/install.md describes.
import { isAbsolute, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { errorMessage } from '../src/errors.js';
import { install } from './install.js';
import { uninstall } from './uninstall.js';

const USAGE = `usage: npm run install:dom0 -- [--destdir DIR] [--node PATH] [--as NAMES]
       npm run uninstall:dom0 -- [--destdir DIR] [--force]

  --destdir DIR  put the tree below DIR, as package builders do; by default /
  --node PATH    the Node.js that will run it there; by default the one that runs this
  --as NAMES     hotplug scripts that it is put in the place of, with commas between, such as
                 block,qubes-block; those come back when it is uninstalled
  --force        uninstall it also while guests have disks whose script it is
`;

const NEXT = `To have the daemon run with systemd, now and from the next start on:
  systemctl daemon-reload && systemctl enable --now xen-blkback.socket xen-blkback.service
in a driver domain:
  systemctl daemon-reload && systemctl enable --now xen-blkback-driverdomain.service`;

async function main(words: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      destdir: { type: 'string', default: '/' },
      node: { type: 'string' },
      as: { type: 'string' },
      force: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
  const [action, ...rest] = positionals;
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  if (rest.length > 0) throw new Error(`${rest[0]}: one action is enough\n${USAGE}`);
  if (values.destdir === '')
    throw new Error('--destdir is empty: give a directory, or leave it out');
  const root = resolve(values.destdir);
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  if (action === 'install') {
    const node = values.node ?? process.execPath;
    if (!isAbsolute(node)) throw new Error(`--node ${node}: an absolute path is needed`);
    const project = fileURLToPath(new URL('../../', import.meta.url));
    if (values.force) throw new Error(`--force is for uninstall only\n${USAGE}`);
    const names = values.as?.split(',') ?? [];
    const scripts = names.filter((name) => name !== 'block-diskseq');
    await install({ project, root, node, scripts, say });
    if (root === '/') say(NEXT);
  } else if (action === 'uninstall') {
    for (const option of ['node', 'as'] as const) {
      if (values[option] === undefined) continue;
      throw new Error(`--${option} is for install only\n${USAGE}`);
    }
    await uninstall({ root, force: values.force ?? false, say });
  } else {
    throw new Error(`install or uninstall is needed, not ${action ?? 'nothing'}\n${USAGE}`);
  }
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`install: ${errorMessage(error)}\n`);
  process.exitCode = 1;
}
