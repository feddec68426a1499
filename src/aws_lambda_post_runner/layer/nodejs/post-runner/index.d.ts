/**
 * Hand `data` to the post command. Resolves to whether a command will get it, and warns once where none will; need
 * not be awaited.
 */
export function work(data: unknown, requestId?: string): Promise<boolean>;

/**
 * Let nothing be frozen before a promise, or what a function returns, has settled. A function is called at once.
 * Resolves to whether the runner waits; need not be awaited. Throws TypeError for anything else. `name` is what the
 * runner's lines call it; a function has one already.
 */
export function waitUntil(
  it: PromiseLike<unknown> | (() => unknown),
  requestId?: string,
  name?: string,
): Promise<boolean>;
