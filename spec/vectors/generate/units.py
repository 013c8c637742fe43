"""The ids that are bucketed."""

import uuid

FIXED = [
    "",
    "a",
    "ab",
    "abc",
    "abcd",
    "abcde",
    "0",
    "1",
    "123",
    "-1",
    "007",
    "user-1",
    "user-2",
    "ppid1",
    "USER-1",
    "jane.doe+test@shop.example",
    "3f2504e0-4f89-11d3-9a0c-0305e82c3301",
    "GA1.2.1234567890.1700000000",
    "with inner space",
    "percent%2Fslash/question?amp&",
    'quote"back\\slash',
    "\u00e9",
    "e\u0301",
    "stra\u00dfe",
    "\u0418\u0432\u0430\u043d",
    "\u0645\u0631\u062d\u0628\u0627",
    "\u65e5\u672c",
    "\u65e5\u672c\u8a9e-7",
    "\U0001f600",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\U0001f1e9\U0001f1ea",
    "user-\U0001d4ea",
    "\uffff",
    "\U0010ffff",
    "\u0080",
    "long-" + "x" * 251,
    "\u00e9\u65e5" * 60,
]

ALPHABETS = [
    (0x21, 0x7E),
    (0x61, 0x7A),
    (0xA1, 0x17F),
    (0x300, 0x36F),
    (0x400, 0x4FF),
    (0x4E00, 0x9FFF),
    (0x1F300, 0x1F6FF),
    (0x20000, 0x2A6DF),
]


def random_ids(rng, count):
    """Distinct ids of the shapes that real systems use, about a third of them not ASCII."""
    shapes = [
        lambda: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        lambda: str(rng.randrange(10**9)),
        lambda: f"user-{rng.randrange(10**7)}",
        lambda: f"{rng.getrandbits(64):016x}",
        lambda: text(rng, ALPHABETS[0], rng.randint(1, 40)),
        lambda: text(rng, ALPHABETS[1], rng.randint(3, 12)) + "@shop.example",
        lambda: text(rng, rng.choice(ALPHABETS[2:]), rng.randint(1, 24)),
        lambda: "".join(text(rng, rng.choice(ALPHABETS), 1) for _ in range(rng.randint(1, 60))),
        lambda: "user-" + text(rng, rng.choice(ALPHABETS[2:]), 1) + str(rng.randrange(1000)),
    ]
    ids = {}
    while len(ids) < count:
        ids[rng.choice(shapes)()] = None
    return list(ids)


def text(rng, alphabet, length):
    return "".join(chr(rng.randint(*alphabet)) for _ in range(length))


def salt(rng):
    """A salt, key or seed in the shapes the systems give them; now and then not ASCII."""
    shapes = [
        lambda: text(rng, ALPHABETS[1], rng.randint(1, 20)),
        lambda: f"{rng.getrandbits(128):032x}",
        lambda: "exp-" + str(rng.randrange(10**6)),
        lambda: "exp-" + text(rng, rng.choice(ALPHABETS[2:]), 3),
    ]
    return rng.choice(shapes)()


def ascii_salt(rng):
    return "exp-" + text(rng, ALPHABETS[1], rng.randint(1, 20))


def whole_weights(rng, total, count):
    """`count` weights, some perhaps 0, that sum to `total`."""
    cuts = sorted(rng.randint(0, total) for _ in range(count - 1))
    return [b - a for a, b in zip([0, *cuts], [*cuts, total])]


def names(count):
    return ["control", *(f"v{n}" for n in range(1, count))]


def cumulative(weights):
    sums, total = [], 0
    for weight in weights:
        total += weight
        sums.append(total)
    return sums
