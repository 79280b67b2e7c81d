// What of the program runs in each simulated process: one bundle is made of this and all that it imports.

export { Service } from '../../src/daemon/service.js';
export { attach } from '../../src/hotplug/attach.js';
export { detach } from '../../src/hotplug/detach.js';
export { parseVbdPath } from '../../src/vbd/vbd-path.js';
export { openXenstore } from '../../src/xenstore/open.js';
