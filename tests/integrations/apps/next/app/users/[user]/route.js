import { after } from 'next/server';

import { work } from '../../../slow.mjs';

/** Answer at once, and welcome the user after that. */
export async function POST(_request, { params }) {
  after(() => work('welcome'));
  return Response.json(await params);
}
