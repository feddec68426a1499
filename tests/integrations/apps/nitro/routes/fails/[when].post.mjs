/** Fail before the answer, or after it. */
export default (event) => {
  if (event.context.params.when === 'before') throw new Error('before the answer');
  const failing = Promise.reject(new RangeError('dividend / divisor'));
  if (event.waitUntil) event.waitUntil(failing);
  else event.req.waitUntil(failing);
  return 'answered';
};
