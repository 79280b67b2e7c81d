// Attaches the disks of this domain's guests as they appear, until Ctrl-C: node serve.js
import { serve } from 'xen-blkback-hotplug';

const end = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => end.abort());
await serve({
  signal: end.signal,
  onReady: () => console.log('ready'),
  onNotice: (text) => console.error(text),
  onEvent: ({ vbd, action, step, device, diskseq }) =>
    console.log(`${vbd.backend} ${action} ${step} ${device ?? '-'} ${diskseq ?? '-'}`),
});
