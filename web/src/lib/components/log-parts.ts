// What the log viewer loads behind itself: its text is there without them.
export { default as LogDownload } from './LogDownload.svelte';
export { default as LogLine } from './LogLine.svelte';
export { default as LogRuler } from './LogRuler.svelte';
export { default as LogStatus } from './LogStatus.svelte';
