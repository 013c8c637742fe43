// A stand-in for your origin: says what it was asked.
export default {
  fetch(request) {
    const { pathname } = new URL(request.url);
    return Response.json({ path: pathname, variant: request.headers.get('x-splitway') });
  },
};
