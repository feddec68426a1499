'use strict';

/**
 * What a Lambda function in Node may ask of aws-lambda-post-runner: work for its command, and to be waited for.
 *
 *     work({ user: 7 });           // a line for the post command's standard input
 *     waitUntil(sendMail(user));   // Lambda does not freeze us before this promise has settled
 *     waitUntil(() => tidyUp());   // nor before this function's has
 *
 * Where the runner is not there, the work itself goes on, and nobody waits for it. Nothing here throws or rejects
 * because of the runner. On Managed Instances several invocations are in flight: the runtime client's InvokeStore
 * tells which of them is asking, or the request id does: `waitUntil(promise, context.awsRequestId)`.
 *
 * Neither has to be awaited. The runtime client sends an async handler's answer before the event loop turns again,
 * and an ordinary HTTP request would still be waiting then. So a connection is kept open: what is written to it is
 * with the system when write() returns, and the runner reads it before the answer has been acknowledged.
 */

// A bundle that is an ES module has no `require` for Node's own modules, and so they are asked of Node itself.
const builtin = process.getBuiltinModule ?? require;
const dns = builtin('node:dns');
const fs = builtin('node:fs');
const net = builtin('node:net');

/** Milliseconds to wait for the runner. It is on this machine, and answers within a fraction of one. */
const PATIENCE = 500;
const NONE = { status: 0, body: '' };
const [, host, port] = /^(.+):(\d+)$/.exec(process.env.AWS_LAMBDA_RUNTIME_API ?? '') ?? [];

class Connection {
  constructor() {
    this.answers = []; // who waits for one, in the order of the requests
    this.received = '';
    this.socket = net.connect({ host: 'post-runner', port: Number(port), noDelay: true, lookup });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text) => this.receive(text));
    this.socket.on('error', () => {}); // 'close' follows
    this.socket.on('close', () => this.giveUp());
    this.socket.unref(); // while nothing is asked it must not keep the process alive
  }

  ask(method, path, body) {
    const head = `${method} /post-runner/v1/${path} HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${body.length}\r\n\r\n`;
    return new Promise((resolve) => {
      // Our patience may end while the runtime client blocks the event loop, with the answer already here: it
      // is read before setImmediate's turn comes.
      const timer = setTimeout(() => setImmediate(() => timer.answered || this.giveUp()), PATIENCE);
      this.answers.push((answer) => {
        timer.answered = true;
        clearTimeout(timer);
        resolve(answer);
      });
      this.socket.ref();
      this.write(Buffer.concat([Buffer.from(head), body]));
    });
  }

  write(data) {
    // The event loop may not have turned since the system connected us, in a first invocation: Node would keep
    // what it is given until then. Without a descriptor, or where the system does not take all, Node keeps the rest.
    let sent = 0;
    const fd = this.socket._handle?.fd;
    if (this.socket.connecting && this.socket.writableLength === 0 && fd > 0) {
      try {
        sent = fs.writeSync(fd, data);
      } catch {} // not connected after all
    }
    if (sent < data.length) this.socket.write(data.subarray(sent));
  }

  receive(text) {
    this.received += text;
    for (;;) {
      const headEnd = this.received.indexOf('\r\n\r\n') + 4;
      if (headEnd < 4) return;
      const head = this.received.slice(0, headEnd);
      const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head);
      if (!length) return this.giveUp(); // it is not the runner
      const end = headEnd + Number(length[1]);
      if (this.received.length < end) return;
      const answer = { status: Number(head.slice(9, 12)), body: this.received.slice(headEnd, end) };
      this.received = this.received.slice(end);
      this.answers.shift()?.(answer);
      if (this.answers.length === 0) this.socket.unref();
    }
  }

  giveUp() {
    this.socket.destroy();
    for (const answer of this.answers.splice(0)) answer(NONE);
  }
}

/** Find the runner: at once, where Node connects to a bare IP address only on its next tick, after the answer. */
function lookup(_name, options, found) {
  const family = net.isIP(host);
  if (!family) return dns.lookup(host, options, found);
  if (options.all) return found(null, [{ address: host, family }]);
  found(null, host, family);
}

let connection = host && new Connection(); // made early, so that the first handler finds it open

async function ask(method, path, body = Buffer.alloc(0)) {
  if (!host) return NONE;
  if (connection.socket.destroyed) connection = new Connection();
  return connection.ask(method, path, body);
}

function toBuffer(data) {
  if (typeof data === 'string' || data instanceof Uint8Array) return Buffer.from(data);
  return Buffer.from(JSON.stringify(data, (_, value) => (typeof value === 'bigint' ? String(value) : value)) ?? '');
}

/** The id of the invocation that is running here, where the runtime client tells; `-` is its word for none. */
function runningInvocation() {
  const id = globalThis.awslambda?.InvokeStore?.getRequestId?.();
  return !id || id === '-' ? 'current' : id;
}

const warned = new Set();

function warnOnce(why) {
  if (warned.has(why)) return;
  warned.add(why);
  console.warn(`post-runner: no command gets this work: ${why}`);
}

function whyNotTaken({ status, body }) {
  try {
    if (status) return `the runner answered ${status}: ${JSON.parse(body).errorMessage}`;
  } catch {} // not the runner, but somebody else
  return 'the runner is not there';
}

async function work(data, requestId = runningInvocation()) {
  try {
    const answer = await ask('POST', `invocation/${requestId}/work`, toBuffer(data));
    if (answer.status !== 202) warnOnce(whyNotTaken(answer));
    return answer.status === 202;
  } catch (error) {
    warnOnce(`it cannot be sent: ${error}`);
    return false;
  }
}

// Not async, so that what cannot be waited for is an error of the call, and not a rejection that nobody handles.
function waitUntil(it, requestId = runningInvocation(), name = it?.name) {
  if (typeof it !== 'function' && typeof it?.then !== 'function') {
    throw new TypeError(`waitUntil takes a promise or a function, not ${it === null ? 'null' : typeof it}`);
  }
  const body = typeof name === 'string' && name ? JSON.stringify({ name }) : '';
  const opened = ask('POST', `invocation/${requestId}/wait`, Buffer.from(body));
  endWhenSettled(opened, it);
  return opened.then(({ status }) => status === 201);
}

async function endWhenSettled(opened, it) {
  try {
    await (typeof it === 'function' ? it() : it);
  } catch (error) {
    // Whoever else awaits the promise has the error too; unhandled it would end the process.
    console.error('post-runner: what was waited for has failed:', error);
  }
  const { status, body } = await opened;
  if (status === 201) await ask('DELETE', `wait/${JSON.parse(body).token}`);
}

module.exports = { work, waitUntil };
