import { after } from 'next/server';

/** Fail before the answer, or after it. */
export async function POST(_request, { params }) {
  const { when } = await params;
  if (when === 'before') throw new Error('before the answer');
  after(() => {
    throw new RangeError('dividend / divisor');
  });
  return Response.json('answered');
}
