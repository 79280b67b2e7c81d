// The part of the program that runs in each simulated process. This file and all its imports become
// one bundle.

export { audit } from '../../src/audit/audit.js';
export { repair } from '../../src/audit/repair.js';
export { Service } from '../../src/daemon/service.js';
export { attach } from '../../src/hotplug/attach.js';
export { detach } from '../../src/hotplug/detach.js';
export { parseVbdPath } from '../../src/vbd/vbd-path.js';
export { openXenstore } from '../../src/xenstore/open.js';
