// Work that ends when the test says so, as in slow.py.

import fs from 'node:fs';
import { setTimeout } from 'node:timers/promises';

export async function work(name) {
  console.log(`${name} began`);
  while (!fs.existsSync(process.env.OPEN_GATE)) await setTimeout(10);
  console.log(`${name} done`);
}
