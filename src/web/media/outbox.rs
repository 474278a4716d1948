//! What waits to be written to a socket.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, ready};
use std::time::Instant;

use axum::extract::ws::Message;
use futures::{Sink, SinkExt as _};

use super::{OUTBOX, WRITE_PATIENCE, now};

/// What waits to be written, and since when nothing could be.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) queue: VecDeque<Message>,
    pub(super) unflushed: bool,
    pub(super) give_up_at: Option<Instant>,
}

impl Outbox {
    pub(super) fn push(&mut self, message: Message) {
        self.give_up_at.get_or_insert_with(|| now() + WRITE_PATIENCE);
        self.queue.push_back(message);
    }

    pub(super) fn has_room(&self) -> bool {
        self.queue.len() < OUTBOX
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty() && !self.unflushed
    }

    /// Writes everything. What was handed over is remembered here, so that dropping the future loses nothing.
    pub(super) async fn pump<K, E>(&mut self, sink: &mut K) -> Result<(), E>
    where
        K: Sink<Message, Error = E> + Unpin,
    {
        poll_fn(|cx| {
            while !self.queue.is_empty() {
                ready!(sink.poll_ready_unpin(cx))?;
                if let Some(message) = self.queue.pop_front() {
                    sink.start_send_unpin(message)?;
                    self.unflushed = true;
                    // Slow is not stuck.
                    self.give_up_at = Some(now() + WRITE_PATIENCE);
                }
            }
            ready!(sink.poll_flush_unpin(cx))?;
            (self.unflushed, self.give_up_at) = (false, None);
            Poll::Ready(Ok(()))
        })
        .await
    }
}
