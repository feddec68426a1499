/** A plugin for Nitro 2 and 3: the `waitUntil` of each request is the runner's. */
export default function postRunner(nitroApp: {
  hooks: { hook: (name: any, call: (event: any) => void) => unknown };
}): void;
