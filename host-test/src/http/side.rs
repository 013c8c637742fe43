//! One direction of an HTTP stream: headers, body and trailers on their way
//! past the filter.
//!
//! A pure state machine: it says what to call next and takes the answer. The
//! rules are those of Envoy's filter manager for a single filter:
//!
//! - a pause in headers stops everything behind them, because Envoy turns the
//!   ABI's `PAUSE` into `StopAllIterationAndWatermark`;
//! - a pause in the body buffers it, and the next chunk's call sees all of it;
//! - a continue from body or trailers lets all that was held back go on.

use crate::headers::Headers;
use crate::message::Message;
use std::collections::VecDeque;

/// One direction of a stream.
#[derive(Debug, Default)]
pub(crate) struct Side {
    pub(crate) headers: Headers,
    /// There are headers: the request arrived, or a response began.
    pub(crate) begun: bool,
    /// The guest may read and change them.
    pub(crate) headers_open: bool,
    pub(crate) trailers: Option<Headers>,
    pub(crate) trailers_open: bool,
    chunks: VecDeque<Vec<u8>>,
    /// The chunk that the guest sees, when nothing is buffered.
    data: Option<Vec<u8>>,
    /// Chunks that the guest paused and sees again.
    buffer: Vec<u8>,
    buffering: bool,
    step: Step,
    stopped: bool,
    stopped_all: bool,
    /// A reset comes in place of the end.
    torn: bool,
    /// Headers went past the filter.
    pub(crate) forwarded: bool,
    /// The body that went past.
    pub(crate) passed: Vec<u8>,
    /// Trailers went past.
    pub(crate) finished: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    #[default]
    Headers,
    Body,
    Trailers,
    AfterTrailers,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Headers {
        count: usize,
        end: bool,
    },
    Body {
        size: usize,
        end: bool,
    },
    Trailers {
        count: usize,
    },
    /// The sender broke off.
    Torn,
    /// Waits for the guest to continue.
    Blocked,
    Finished,
}

/// What the guest answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Continue,
    /// Headers: stop only the headers, if the plugin may. Body: buffer.
    Pause,
    /// Stop and keep what came, out of the guest's sight.
    Watermark,
    /// Stop and drop the chunk.
    Discard,
}

impl Side {
    pub(crate) fn new(message: Message) -> Side {
        Side {
            headers: message.headers,
            trailers: message.trailers,
            chunks: message.chunks.into(),
            torn: message.torn,
            begun: true,
            ..Side::default()
        }
    }

    pub(crate) fn next(&mut self) -> Next {
        if self.finished {
            return Next::Finished;
        }
        if self.stopped_all {
            return Next::Blocked;
        }
        match self.step {
            Step::Headers => {
                self.headers_open = true;
                Next::Headers { count: self.headers.len(), end: self.at_end() }
            }
            Step::Body => match self.chunks.pop_front() {
                Some(chunk) => {
                    if self.buffering {
                        self.buffer.extend_from_slice(&chunk);
                    } else {
                        self.data = Some(chunk);
                    }
                    Next::Body { size: self.visible().map_or(0, <[u8]>::len), end: self.at_end() }
                }
                None if self.trailers.is_some() => {
                    self.step = Step::Trailers;
                    self.next()
                }
                None => self.end(),
            },
            Step::Trailers => {
                self.trailers_open = true;
                Next::Trailers { count: self.trailers.as_ref().map_or(0, Headers::len) }
            }
            Step::AfterTrailers => self.end(),
        }
    }

    pub(crate) fn answer_headers(&mut self, verdict: Verdict, may_stop_only_headers: bool) {
        self.step = Step::Body;
        if verdict == Verdict::Continue {
            self.headers_open = false;
            self.forwarded = true;
        } else {
            self.stopped = true;
            self.stopped_all = !(verdict == Verdict::Pause && may_stop_only_headers);
        }
    }

    pub(crate) fn answer_body(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Continue => {
                self.release();
                self.data = None;
            }
            Verdict::Pause => {
                if !self.buffering {
                    self.buffer.extend(self.data.take().unwrap_or_default());
                }
                self.buffering = true;
                self.stopped = true;
            }
            Verdict::Watermark => {
                let held = self.data.take().unwrap_or_default();
                self.buffer.extend(held);
                self.buffering = false;
                self.stopped = true;
            }
            Verdict::Discard => {
                self.data = None;
                self.buffering = false;
                self.stopped = true;
            }
        }
    }

    pub(crate) fn answer_trailers(&mut self, verdict: Verdict) {
        self.step = Step::AfterTrailers;
        if verdict == Verdict::Continue {
            self.trailers_open = false;
            self.release();
        } else {
            self.stopped = true;
        }
    }

    /// The guest continues a paused stream. Without a pause, nothing happens.
    pub(crate) fn resume(&mut self) {
        if self.stopped {
            self.release();
        }
    }

    /// Everything that is left goes past unseen.
    pub(crate) fn bypass(&mut self) {
        self.release();
        while let Some(chunk) = self.chunks.pop_front() {
            self.passed.extend_from_slice(&chunk);
        }
        self.close_maps();
        self.finished = true;
    }

    /// What came is dropped and nothing more will be shown.
    pub(crate) fn abort(&mut self) {
        self.chunks.clear();
        self.finished = true;
    }

    pub(crate) fn close_maps(&mut self) {
        self.headers_open = false;
        self.trailers_open = false;
        self.data = None;
    }

    /// The guest was not yet called about it.
    pub(crate) fn is_untouched(&self) -> bool {
        self.step == Step::Headers && !self.headers_open
    }

    /// The bytes that a body call may read.
    pub(crate) fn visible(&self) -> Option<&[u8]> {
        if self.buffering { Some(&self.buffer) } else { self.data.as_deref() }
    }

    pub(crate) fn visible_mut(&mut self) -> Option<&mut Vec<u8>> {
        if self.buffering { Some(&mut self.buffer) } else { self.data.as_mut() }
    }

    pub(crate) fn open_trailers(&mut self) -> Option<&mut Headers> {
        if self.trailers_open { self.trailers.as_mut() } else { None }
    }

    /// Where a blocked side waits: 0 headers, 1 body, 2 trailers.
    pub(crate) fn waits_at(&self) -> usize {
        match self.step {
            Step::Headers => 0,
            Step::Body if self.stopped_all => 0,
            Step::Body | Step::Trailers => 1,
            Step::AfterTrailers => 2,
        }
    }

    fn at_end(&self) -> bool {
        self.chunks.is_empty() && self.trailers.is_none() && !self.torn
    }

    fn end(&mut self) -> Next {
        if self.torn {
            return Next::Torn;
        }
        if self.stopped {
            return Next::Blocked;
        }
        self.finished = true;
        Next::Finished
    }

    fn release(&mut self) {
        self.stopped = false;
        self.stopped_all = false;
        self.headers_open = false;
        self.forwarded = true;
        self.passed.append(&mut self.buffer);
        if let Some(data) = self.data.take() {
            self.passed.extend(data);
        }
        self.buffering = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(chunks: &[&str]) -> Side {
        let headers = [("a", "1")].into_iter().collect();
        Side::new(Message {
            headers,
            chunks: chunks.iter().map(|chunk| chunk.as_bytes().to_vec()).collect(),
            trailers: None,
            torn: false,
        })
    }

    #[test]
    fn passes_straight_through() {
        let mut side = side(&["ab", "c"]);
        assert_eq!(side.next(), Next::Headers { count: 1, end: false });
        side.answer_headers(Verdict::Continue, false);
        assert_eq!(side.next(), Next::Body { size: 2, end: false });
        side.answer_body(Verdict::Continue);
        assert_eq!(side.next(), Next::Body { size: 1, end: true });
        side.answer_body(Verdict::Continue);
        assert_eq!(side.next(), Next::Finished);
        assert_eq!(side.passed, b"abc");
    }

    #[test]
    fn a_pause_in_headers_holds_the_body_until_resumed() {
        let mut side = side(&["ab"]);
        side.next();
        side.answer_headers(Verdict::Pause, false);
        assert_eq!(side.next(), Next::Blocked);
        side.resume();
        assert_eq!(side.next(), Next::Body { size: 2, end: true });
    }

    #[test]
    fn a_paused_body_grows_and_can_be_changed() {
        let mut side = side(&["ab", "c"]);
        side.next();
        side.answer_headers(Verdict::Continue, false);
        side.next();
        side.answer_body(Verdict::Pause);
        assert_eq!(side.next(), Next::Body { size: 3, end: true });
        side.visible_mut().expect("a body").extend(b"!");
        side.answer_body(Verdict::Continue);
        assert_eq!(side.next(), Next::Finished);
        assert_eq!(side.passed, b"abc!");
    }

    #[test]
    fn a_pause_at_the_end_of_the_body_waits() {
        let mut side = side(&["ab"]);
        side.next();
        side.answer_headers(Verdict::Continue, false);
        side.next();
        side.answer_body(Verdict::Pause);
        assert_eq!((side.next(), side.waits_at()), (Next::Blocked, 1));
        side.resume();
        assert_eq!(side.next(), Next::Finished);
        assert_eq!(side.passed, b"ab");
    }
}
