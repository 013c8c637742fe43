//! A small mutation engine: what libFuzzer's mutators do, without its feedback.

/// Longest input that is made.
const MAX_INPUT: usize = 8 * 1024;

/// Makes inputs out of a corpus.
pub(crate) struct Mutator {
    corpus: Vec<Vec<u8>>,
    state: u64,
}

impl Mutator {
    pub(crate) fn new(corpus: Vec<Vec<u8>>, seed: u64) -> Self {
        Self { corpus, state: seed }
    }

    /// SplitMix64.
    fn random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.random() % limit.max(1) as u64) as usize
    }

    fn picked(&mut self) -> Vec<u8> {
        let index = self.below(self.corpus.len());
        self.corpus[index].clone()
    }

    /// A range of `bytes`, mostly short.
    fn range(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        let longest = if self.below(4) == 0 { bytes.len() } else { 12 };
        let length = self.below(longest + 1).min(bytes.len() - start);
        start..start + length
    }

    /// One to six changes to one of the corpus.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        let mut input = self.picked();
        for _ in 0..=self.below(6) {
            self.change(&mut input);
        }
        input.truncate(MAX_INPUT);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let range = self.range(input);
        match self.below(8) {
            0 => drop(input.drain(range)),
            1 => {
                let again = input[range.clone()].repeat(1 + self.below(4));
                input.splice(range.end..range.end, again);
            }
            2 => {
                let token = TOKENS[self.below(TOKENS.len())];
                input.splice(range.start..range.start, token.iter().copied());
            }
            3 => {
                let token = TOKENS[self.below(TOKENS.len())];
                input.splice(range, token.iter().copied());
            }
            4 => {
                let other = self.picked();
                let from = self.range(&other);
                input.splice(range, other[from].iter().copied());
            }
            5 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] ^= 1 << self.below(8);
            }
            6 if !input.is_empty() => {
                let at = self.below(input.len());
                input[at] = self.random() as u8;
            }
            _ => {
                let moved = input[range].to_vec();
                let at = self.below(input.len() + 1);
                input.splice(at..at, moved);
            }
        }
    }
}

/// What means something to one target or another.
const TOKENS: &[&[u8]] = &[
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b"- ",
    b"\n",
    b"\n  ",
    b"&a ",
    b"*a",
    b"#",
    b"---\n",
    b"!!str ",
    b"null",
    b"true",
    b"0",
    b"-1",
    b"9999",
    b"10000",
    b"1e308",
    b"1e-9",
    b"0.1",
    b"4294967295",
    b"9223372036854775808",
    b"100%",
    b"0%",
    b"33.3333%",
    b"2026-11-20T00:00:00Z",
    b"\\u0000",
    b"\\ud800",
    b";",
    b"=",
    b"uid",
    b"uid=",
    b"%",
    b"%2",
    b"%2e",
    b"%2f",
    b"%5c",
    b"%00",
    b"+",
    b"&",
    b"?",
    b"/",
    b"//",
    b"/..",
    b"/./",
    b"..;",
    b"\\",
    b"\r\n",
    b"\t",
    b" ",
    b"\xff",
    b"\xc3\xa9",
    b"\xe2\x80\xa8",
    b"@",
    b"http://",
    b".",
    b"v1.",
    b"*",
    b"(",
    b")",
    b"(?i)",
    b"{1000}",
    b"|",
    b"\"layer\":\"l\",",
    b"\"id\":\"a\",",
    b"_",
    b"x-splitway",
];
