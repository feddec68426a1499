/** Have a wrapper of OpenNext's pass a `waitUntil`, so that Next's `after()` runs after the answer. */
export function withWaitUntil<Wrapper extends { name: string; wrapper: (...given: any[]) => unknown }>(
  wrapper: Wrapper,
): Wrapper;
