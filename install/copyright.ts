import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { listShippedPackages, type NpmPackage } from './packages.js';

const HEAD = `xen-blkback-hotplug
Copyright: the authors of xen-blkback-hotplug
License: Apache-2.0

 Licensed under the Apache License, Version 2.0. You may obtain a copy of the License at
 http://www.apache.org/licenses/LICENSE-2.0; on Debian systems it is the file
 /usr/share/common-licenses/Apache-2.0. The software is distributed on an "AS IS" BASIS, WITHOUT
 WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.

It is shipped together with parts of the packages below. Those of yargs and of what yargs needs are in
/usr/lib/xen-blkback/dist/code/*.cjs, those of node-addon-api in native/build/Release/blkback.node, and those
of koffi in node_modules.
`;

/** Returns the licence of this project, and the notices of everything that is shipped with it. */
export function writeCopyright(project: string): string {
  const notices = listShippedPackages(project).map((shipped) => notice(project, shipped));
  // A package may be installed twice, because two other packages need it.
  return [HEAD, ...new Set(notices)].join('\n');
}

function notice(project: string, shipped: NpmPackage): string {
  const { name, version, homepage, license, directory } = shipped;
  const source = homepage ?? `https://www.npmjs.com/package/${name}`;
  const text = readLicence(project, directory).trimEnd().replace(/^/gm, ' ').replace(/ +$/gm, '');
  return `${name} ${version}\nSource: ${source}\nLicense: ${license}\n\n${text}\n`;
}

function readLicence(project: string, directory: string): string {
  // The compiled part of koffi comes in a package of its own, under koffi's licence.
  const places = directory.includes('/@koromix/koffi-')
    ? [directory, join(dirname(dirname(directory)), 'koffi')]
    : [directory];
  for (const place of places) {
    const name = readdirSync(join(project, place)).find((file) =>
      /^(licen[cs]e|copying)/i.test(file),
    );
    if (name !== undefined) return readFileSync(join(project, place, name), 'utf8');
  }
  throw new Error(`${directory} has no licence text: it must not be shipped without one`);
}
