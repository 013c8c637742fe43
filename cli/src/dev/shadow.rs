//! Copies of requests for a variant's `shadow` cluster, whose answers are dropped.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http_body_util::BodyExt as _;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

/// What goes to an upstream's server.
pub(super) type Outgoing = http_body_util::combinators::UnsyncBoxBody<Bytes, Error>;
pub(super) type Error = Box<dyn std::error::Error + Send + Sync>;

/// Pieces of a body that a copy may be behind. One that is further behind ends: the request does not wait for it.
const BEHIND: usize = 1_024;

/// `body` as it goes to its upstream.
pub(super) fn plain(body: Incoming) -> Outgoing {
    body.map_err(Into::into).boxed_unsync()
}

/// `body` twice: as it goes to its upstream, and the copy, which gets its pieces as they pass.
pub(super) fn twice(body: Incoming) -> (Outgoing, Outgoing) {
    let (pieces, copied) = mpsc::channel(BEHIND);
    let copy = Copy { pieces: copied, size: body.size_hint(), is_whole: body.is_end_stream() };
    (Original { body, pieces: Some(pieces) }.boxed_unsync(), copy.boxed_unsync())
}

struct Original {
    body: Incoming,
    /// To the copy; `None` marks the end.
    pieces: Option<mpsc::Sender<Option<Bytes>>>,
}

impl Original {
    fn pass(&mut self, piece: Option<Bytes>) {
        if self.pieces.as_ref().is_some_and(|pieces| pieces.try_send(piece).is_err()) {
            self.pieces = None;
        }
    }
}

impl Body for Original {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.pass(Some(data.clone()));
                }
                // Nobody asks for a frame behind the last one.
                if self.body.is_end_stream() {
                    self.pass(None);
                }
            }
            Some(Err(_)) => self.pieces = None,
            None => self.pass(None),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

struct Copy {
    pieces: mpsc::Receiver<Option<Bytes>>,
    size: SizeHint,
    is_whole: bool,
}

impl Body for Copy {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.is_whole {
            return Poll::Ready(None);
        }
        Poll::Ready(match ready!(self.pieces.poll_recv(context)) {
            Some(Some(piece)) => Some(Ok(Frame::data(piece))),
            Some(None) => {
                self.is_whole = true;
                None
            }
            None => Some(Err("the request ended before its body, or the copy was too far behind".into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_whole
    }

    fn size_hint(&self) -> SizeHint {
        self.size
    }
}
