//! A bad way between a provider and the server: messages that come late, audio that never comes. No clock, no sockets.

use std::collections::VecDeque;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

/// The same calls are hit in the same way.
const SEED: u64 = 7;

/// How bad.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Share of audio messages that are lost, 0 to 1.
    pub loss: f64,
    /// Messages come up to so much late. Their order is kept, as a websocket does.
    pub jitter: Duration,
}

/// What is on its way.
#[derive(Debug)]
pub(super) struct Network {
    conditions: Conditions,
    random: SmallRng,
    waiting: VecDeque<(Instant, Message)>,
}

impl Network {
    pub(super) fn new(conditions: Conditions) -> Self {
        Self { conditions, random: SmallRng::seed_from_u64(SEED), waiting: VecDeque::new() }
    }

    /// Audio sets out, unless it is lost.
    pub(super) fn audio(&mut self, now: Instant, messages: Vec<Message>) {
        for message in messages {
            if !self.random.random_bool(self.conditions.loss.clamp(0.0, 1.0)) {
                self.control(now, vec![message]);
            }
        }
    }

    /// Everything else is never lost.
    pub(super) fn control(&mut self, now: Instant, messages: Vec<Message>) {
        for message in messages {
            let late = self.conditions.jitter.mul_f64(self.random.random_range(0.0..=1.0));
            let behind = self.waiting.back().map_or(now, |(due, _)| *due);
            self.waiting.push_back(((now + late).max(behind), message));
        }
    }

    /// What arrives by `now`.
    pub(super) fn arrived(&mut self, now: Instant) -> Vec<Message> {
        let count = self.waiting.iter().take_while(|(due, _)| *due <= now).count();
        self.waiting.drain(..count).map(|(_, message)| message).collect()
    }

    /// What is still on its way: before a goodbye, which nothing may follow.
    pub(super) fn rest(&mut self) -> Vec<Message> {
        self.waiting.drain(..).map(|(_, message)| message).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(n: u32) -> Vec<Message> {
        vec![Message::text(n.to_string())]
    }

    #[tokio::test(start_paused = true)]
    async fn some_audio_is_lost_and_control_is_not() {
        let now = Instant::now();
        let mut network = Network::new(Conditions { loss: 0.2, jitter: Duration::ZERO });
        (0..1_000).for_each(|n| network.audio(now, numbered(n)));
        let left = network.arrived(now).len();
        assert!((750..850).contains(&left), "{left} of 1000");
        (0..1_000).for_each(|n| network.control(now, numbered(n)));
        assert_eq!(network.arrived(now).len(), 1_000);
    }

    #[tokio::test(start_paused = true)]
    async fn messages_come_late_in_their_order() {
        let now = Instant::now();
        let jitter = Duration::from_millis(80);
        let mut network = Network::new(Conditions { loss: 0.0, jitter });
        let mut got = Vec::new();
        for n in 0..100 {
            let at = now + Duration::from_millis(20) * n;
            network.audio(at, numbered(n));
            got.extend(network.arrived(at));
        }
        assert!(got.len() > 90 && got.len() < 100, "{} arrived", got.len());
        got.extend(network.rest());
        let sent: Vec<_> = (0..100).flat_map(numbered).collect();
        assert_eq!(got, sent);
    }
}
