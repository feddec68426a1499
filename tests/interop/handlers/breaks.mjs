// Streams a piece of its response, and throws.

export const handler = awslambda.streamifyResponse(async (_event, stream) => {
  stream.write('half');
  throw new Error('broken');
});
