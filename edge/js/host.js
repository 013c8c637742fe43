// What the module asks of its host. In the package it is a part of splitway.js.

/** Random bytes, and whether there were any: Cloudflare gives none outside of a request. */
export function fillRandom(bytes) {
  try {
    crypto.getRandomValues(bytes);
    return true;
  } catch {
    return false;
  }
}

/** The last words of a module that traps: the place by its address, which `panics.txt` beside the build translates. */
export function panicked(place) {
  console.error(`splitway: panicked at ${place}`);
}
