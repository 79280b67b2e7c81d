import { startMemoryBed, startNativeBed } from './store-bed.js';
import { xenstoreContract } from './xenstore.contract.js';

xenstoreContract('in memory', () => startMemoryBed());
xenstoreContract('in memory, a few bytes at a time', () => startMemoryBed(7));
xenstoreContract("xenstored's socket", startNativeBed, 'xenstored');
