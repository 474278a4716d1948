//! Many callers at once who only send frames and note when each came back.

use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};
use tokio_tungstenite::connect_async_with_config;
use tokio_tungstenite::tungstenite::Message;

use super::super::{percentile, small_reads};
use super::echo::SECRET;
use super::{Measured, Metric};
use crate::audio::units::{Millis, SampleRate};
use crate::cli::call::dialect::{Announced, announce};
use crate::cli::call::player::Dial;
use crate::cli::{CliError, say, say_json};
use crate::telemetry::Secret;

/// Between two calls coming up: a thousand calls in three seconds.
const RAMP: Duration = Duration::from_millis(3);
/// After the last call is up, before frames count.
const SETTLE: Duration = Duration::from_secs(1);

/// Makes `calls` calls and holds them for `span`; prints `full` while all are up, then what was measured.
pub(super) async fn run(url: &str, provider: &str, calls: usize, span: Duration) -> Result<Vec<Metric>, CliError> {
    let (up, mut came_up) = mpsc::channel(calls.max(1));
    let mut callers = JoinSet::new();
    let begin = Instant::now();
    let counted_from = begin + RAMP * calls as u32 + SETTLE;
    let until = counted_from + span;
    for number in 0..calls {
        let mut dial = Dial::new(url, provider);
        dial.auth_token = Secret::new(SECRET.to_owned());
        callers.spawn(call(dial, begin + RAMP * number as u32, counted_from, until, up.clone()));
    }
    drop(up);
    for _ in 0..calls {
        if came_up.recv().await.is_none() {
            break;
        }
    }
    tokio::time::sleep_until(counted_from).await;
    say("begin")?;
    tokio::time::sleep_until(until).await;
    say("full")?;
    let (mut late, mut missing) = (Vec::new(), 0);
    while let Some(done) = callers.join_next().await {
        let one = done
            .map_err(|error| error.to_string())
            .and_then(|result| result)
            .map_err(|error| CliError::failed(format!("a call failed: {error}"), ""))?;
        late.extend(one.lateness_ms);
        missing += one.missing;
    }
    let frames = late.len() + missing;
    say_json(&Measured { lateness_ms_p99: percentile(&late, 0.99), frames, missing })?;
    Ok(Vec::new())
}

struct OneCall {
    lateness_ms: Vec<f64>,
    missing: usize,
}

async fn call(
    dial: Dial,
    begin: Instant,
    counted_from: Instant,
    until: Instant,
    up: mpsc::Sender<()>,
) -> Result<OneCall, String> {
    tokio::time::sleep_until(begin).await;
    let Announced { request, mut dialect, .. } = announce(&dial).await.map_err(|error| error.to_string())?;
    let (mut socket, _) =
        connect_async_with_config(request, Some(small_reads()), true).await.map_err(|error| error.to_string())?;
    for message in dialect.hello() {
        socket.send(message).await.map_err(|error| error.to_string())?;
    }
    let _ = up.send(()).await;
    let tone: Vec<i16> =
        (0..SampleRate::WIDEBAND.samples_in(Millis::FRAME)).map(|n| if n % 32 < 16 { 3_000 } else { -3_000 }).collect();
    let mut ticker = interval_at(Instant::now(), Millis::FRAME.duration());
    ticker.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut sent, mut returned, mut offsets) = (0usize, 0usize, Vec::new());
    let first = Instant::now();
    while Instant::now() < until {
        tokio::select! {
            _ = ticker.tick() => {
                for message in dialect.audio(&tone) {
                    socket.send(message).await.map_err(|error| error.to_string())?;
                }
                sent += 1;
            }
            message = socket.next() => {
                let message = message.ok_or("the server hung up")?.map_err(|error| error.to_string())?;
                if carries_audio(&message) {
                    let now = Instant::now();
                    if now >= counted_from {
                        // Where the frame stands against its schedule; the quickest of the call is the measure.
                        let due = Millis::FRAME.duration() * returned as u32;
                        offsets.push((now - first).as_secs_f64() * 1_000.0 - due.as_secs_f64() * 1_000.0);
                    }
                    returned += 1;
                }
            }
        }
    }
    for message in dialect.goodbye() {
        let _ = socket.send(message).await;
    }
    let _ = socket.close(None).await;
    sleep(Duration::from_millis(1)).await;
    let quickest = offsets.iter().copied().fold(f64::INFINITY, f64::min);
    // One frame may be in the resamplers and one on its way.
    let missing = sent.saturating_sub(returned + 2);
    Ok(OneCall { lateness_ms: offsets.into_iter().map(|offset| offset - quickest).collect(), missing })
}

/// Told cheaply: what is in it costs the callers' core, which is not what is measured.
fn carries_audio(message: &Message) -> bool {
    match message {
        Message::Binary(_) => true,
        Message::Text(text) => text.len() > 160 && text.contains("\"payload\""),
        _ => false,
    }
}
