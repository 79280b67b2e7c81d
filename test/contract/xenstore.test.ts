import { startMemoryBed, startNativeBed } from './store-bed.js';
import { xenstoreContract } from './xenstore.contract.js';

xenstoreContract('in memory', startMemoryBed);
xenstoreContract('libxenstore and xenstored', startNativeBed, 'xenstored');
