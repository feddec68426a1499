import { work } from '../../slow.mjs';

/** Answer at once, and welcome the user after that. */
export default (event) => {
  waitUntilOf(event)(work('welcome'));
  return event.context.params;
};

/** Nitro 2 has it on the event, Nitro 3 on its request. */
function waitUntilOf(event) {
  return (promise) => (event.waitUntil ? event.waitUntil(promise) : event.req.waitUntil(promise));
}
