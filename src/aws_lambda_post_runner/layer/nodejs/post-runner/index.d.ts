/** Hand `data` to the post command. Resolves to whether the runner took it; need not be awaited. */
export function work(data: unknown, requestId?: string): Promise<boolean>;

/** Let nothing be frozen before `promise` has settled. Resolves to whether the runner waits; need not be awaited. */
export function waitUntil(promise: PromiseLike<unknown>, requestId?: string): Promise<boolean>;
