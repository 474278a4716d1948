//! A recording to pass on: silence wherever somebody may have said something personal, or pressed keys.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path as FilePath;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use hound::{SampleFormat, WavReader};
use tokio::sync::mpsc;

use super::recordings;
use super::review::audit;
use crate::audio::dtmf::DtmfDetector;
use crate::audio::units::{Millis, SampleRate};
use crate::audio::wav::stereo_header;
use crate::call::CallId;
use crate::review::sound::Audible;
use crate::said::Said;
use crate::web::auth::{Require, Supervisor};
use crate::web::error::{ApiError, Path, Problem};
use crate::web::router::AppState;

/// What is judged as one: heard or silent.
const FRAME: usize = SampleRate::WIDEBAND.samples_in(Millis::FRAME);
/// Frames in one piece of the answer: four seconds, 256 kB.
const PIECE: usize = 200;
/// Pieces on their way. The reader waits when the client is slow.
const PIECES: usize = 2;
/// Frames before a key is known to be down, and after it is up: it sounds a little longer at both ends.
const AROUND_KEY: usize = 6;

/// The recording of a call to pass on: silence wherever numbers, names or addresses may be heard, keys as well. Only turns whose
/// words are known and hold nothing personal are left; all else is silent.
#[utoipa::path(
    get, path = "/api/v1/calls/{id}/redacted-recording", tag = "review", operation_id = "get_redacted_recording",
    params(("id" = CallId, Path, description = "The call")),
    responses(
        (status = 200, description = "The recording", content_type = "audio/wav", body = [u8]),
        (status = 403, description = "Not a supervisor", body = Problem),
        (status = 404, description = "No such call, or it was not recorded", body = Problem),
        (status = 409, description = "The call is still going on", body = Problem),
    ),
    security(("session" = []), ("token" = [])),
    extensions(("x-least-role" = json!("supervisor"))),
)]
pub(super) async fn redacted_recording(
    State(state): State<Arc<AppState>>,
    supervisor: Require<Supervisor>,
    Path(id): Path<CallId>,
) -> Result<Response, ApiError> {
    let detail = state.store.get_call(id).await?.ok_or(ApiError::NotFound { what: "call" })?;
    if detail.call.ended_at.is_none() {
        return Err(ApiError::Conflict(Said::new("call_going_on", "the call is still going on")));
    }
    let name = detail.call.recording.as_deref().ok_or(ApiError::NotFound { what: "recording" })?;
    let file = recordings::find(&state.recordings, name).await?;
    audit(&state, &supervisor.user, "download_redacted", Some(id), Some("recording".to_owned())).await?;
    let begins = detail.call.notice_at_ms.unwrap_or(0);
    let audible = Audible::of(&detail);
    let opened = tokio::task::spawn_blocking(move || Redacted::open(&file, audible, begins)).await;
    let redacted = opened.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(ApiError::Recording)?;
    let length = redacted.bytes();
    let (pieces, mut made) = mpsc::channel(PIECES);
    // It ends by itself: with the file, or as soon as nobody takes its pieces.
    drop(tokio::task::spawn_blocking(move || redacted.send(&pieces)));
    let body = Body::from_stream(stream::poll_fn(move |context| made.poll_recv(context)));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"call-{id}-redacted.wav\""));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("audio/wav")),
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
        (header::CONTENT_DISPOSITION, disposition.expect("ids are plain letters")),
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-store")),
    ];
    Ok((headers, body).into_response())
}

/// A recording with what of it may be heard.
struct Redacted {
    reader: WavReader<BufReader<File>>,
    audible: Audible,
    /// Where the recording begins in the call, in milliseconds.
    begins: u32,
    frames: u32,
    /// By frame: whether a key sounds.
    keys: Vec<bool>,
}

impl Redacted {
    fn open(file: &FilePath, audible: Audible, begins: u32) -> io::Result<Self> {
        let keys = keys(read(file)?);
        let reader = read(file)?;
        let frames = reader.duration();
        Ok(Self { reader, audible, begins, frames, keys })
    }

    fn bytes(&self) -> u64 {
        44 + 4 * u64::from(self.frames)
    }

    /// All of it, piece by piece.
    fn send(mut self, pieces: &mpsc::Sender<io::Result<Bytes>>) {
        if pieces.blocking_send(Ok(Bytes::copy_from_slice(&stereo_header(SampleRate::WIDEBAND, self.frames)))).is_err()
        {
            return;
        }
        let mut samples = self.reader.samples::<i16>();
        let mut left = self.frames as usize;
        let mut frame = 0;
        while left > 0 {
            let mut piece = Vec::with_capacity(PIECE * FRAME * 4);
            for _ in 0..PIECE {
                let length = FRAME.min(left);
                // A file cut short, as a crash leaves it, is silent from there on.
                let mut sides = [[0i16; FRAME]; 2];
                for at in 0..length {
                    for side in &mut sides {
                        side[at] = samples.next().and_then(Result::ok).unwrap_or(0);
                    }
                }
                for (side, caller) in sides.iter_mut().zip([true, false]) {
                    if !may_be_heard(&self.audible, &self.keys, self.begins, caller, frame) {
                        side.fill(0);
                    }
                }
                let [caller, ours] = &sides;
                let both = caller.iter().zip(ours).take(length);
                piece.extend(both.flat_map(|(caller, ours)| [caller.to_le_bytes(), ours.to_le_bytes()]).flatten());
                left -= length;
                frame += 1;
                if left == 0 {
                    break;
                }
            }
            if pieces.blocking_send(Ok(piece.into())).is_err() {
                return;
            }
        }
    }
}

fn may_be_heard(audible: &Audible, keys: &[bool], begins: u32, caller: bool, frame: usize) -> bool {
    let around = frame.saturating_sub(AROUND_KEY)..(frame + AROUND_KEY + 1).min(keys.len());
    if keys.get(around).is_some_and(|near| near.contains(&true)) {
        return false;
    }
    let at = begins.saturating_add(u32::try_from(frame).unwrap_or(u32::MAX).saturating_mul(Millis::FRAME.0));
    audible.allows(caller, at..at.saturating_add(Millis::FRAME.0))
}

fn read(file: &FilePath) -> io::Result<WavReader<BufReader<File>>> {
    let reader = WavReader::open(file).map_err(io::Error::other)?;
    let spec = reader.spec();
    let ours = (spec.channels, spec.sample_rate, spec.bits_per_sample, spec.sample_format);
    if ours != (2, SampleRate::WIDEBAND.0, 16, SampleFormat::Int) {
        return Err(io::Error::other("not a recording of ours"));
    }
    Ok(reader)
}

/// By frame: whether a key sounds on either side.
fn keys(mut reader: WavReader<BufReader<File>>) -> Vec<bool> {
    let mut detectors = [DtmfDetector::default(), DtmfDetector::default()];
    let mut keys = Vec::with_capacity(reader.duration() as usize / FRAME + 1);
    let mut samples = reader.samples::<i16>().map_while(Result::ok);
    loop {
        let (mut caller, mut ours) = (Vec::with_capacity(FRAME), Vec::with_capacity(FRAME));
        while caller.len() < FRAME
            && let (Some(left), Some(right)) = (samples.next(), samples.next())
        {
            caller.push(left);
            ours.push(right);
        }
        if caller.is_empty() {
            return keys;
        }
        let mut sounds = false;
        for (detector, pcm) in detectors.iter_mut().zip([&caller, &ours]) {
            sounds |= detector.push(pcm).is_some() || detector.is_down();
        }
        keys.push(sounds);
    }
}
