// Without this, Next looks for the project's root above this folder.
export default { outputFileTracingRoot: import.meta.dirname, turbopack: { root: import.meta.dirname } };
