/** Give a Hono application the `executionCtx` that its adapter for Lambda does not pass: `handle(withWaitUntil(app))`. */
export function withWaitUntil<App extends { fetch: (...given: any[]) => unknown }>(app: App): App;
