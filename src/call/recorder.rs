//! RUNTIME: a call's two sides to disk as they are spoken, on a thread of its own.
//!
//! Media path: frames are handed over with `try_send`; a disk that stalls costs recording, never the call. Each side keeps
//! its own place in time, so that a gap on one side does not shift it against the other.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use tracing::error;

use crate::audio::units::{Millis, SampleRate};
use crate::audio::wav::{StereoWriter, WavError};
use crate::telemetry::metric;

/// Four seconds of both sides.
const WAITING_FRAMES: usize = 400;
/// A side this far behind the other is filled with silence: nothing more comes for that time.
const BEHIND: usize = SampleRate::WIDEBAND.samples_in(Millis(600));
/// A frame this far from where its side ends leaves a gap; nearer ones are joined without a seam.
const SEAM: usize = SampleRate::WIDEBAND.samples_in(Millis(60));

/// Whose voice a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The caller: left.
    Caller,
    /// Assistant, hold or agent: right.
    Ours,
}

enum Message {
    Frame(Side, Millis, Arc<[i16]>),
    Finish,
}

/// A running recording. Dropping it finishes the file.
#[derive(Debug)]
pub struct Recorder {
    frames: SyncSender<Message>,
    /// Where the file will be once finished.
    pub path: PathBuf,
}

impl Recorder {
    /// Creates the file and begins. `start` is the time in the call at which the recording begins.
    pub fn start(path: PathBuf, start: Millis) -> Result<Self, WavError> {
        let writer = StereoWriter::create(&path, SampleRate::WIDEBAND)?;
        let (frames, inbox) = sync_channel(WAITING_FRAMES);
        // It ends when the sender is dropped, and owns nothing but its file.
        std::thread::spawn(move || {
            if let Err(error) = write_all(writer, &inbox, start) {
                error!(%error, "A recording could not be written");
            }
        });
        Ok(Self { frames, path })
    }

    /// Adds 16 kHz audio of one side, heard or spoken at `at` in the call.
    pub fn push(&self, side: Side, at: Millis, pcm: Arc<[i16]>) {
        if let Err(TrySendError::Full(_)) = self.frames.try_send(Message::Frame(side, at, pcm)) {
            metrics::counter!(metric::FRAMES_DROPPED, "leg" => "recording", "reason" => "slow_disk").increment(1);
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // Full or gone: the writer finishes anyway when the channel closes.
        let _ = self.frames.try_send(Message::Finish);
    }
}

fn write_all(mut writer: StereoWriter, inbox: &Receiver<Message>, start: Millis) -> Result<(), WavError> {
    let mut sides = [Vec::<i16>::new(), Vec::new()];
    // Samples already written; both sides' buffers begin there.
    let mut written = 0usize;
    while let Ok(Message::Frame(side, at, pcm)) = inbox.recv() {
        let own = &mut sides[side as usize];
        let place = SampleRate::WIDEBAND.samples_in(at.saturating_sub(start));
        let end = written + own.len();
        if place > end + SEAM {
            own.resize(place - written, 0);
        }
        own.extend_from_slice(&pcm);
        let longest = sides[0].len().max(sides[1].len());
        for side in &mut sides {
            if side.len() + BEHIND < longest {
                side.resize(longest - BEHIND, 0);
            }
        }
        let both = sides[0].len().min(sides[1].len());
        if both > 0 {
            writer.write(&sides[0][..both], &sides[1][..both])?;
            written += both;
            sides.iter_mut().for_each(|side| drop(side.drain(..both)));
        }
    }
    let longest = sides[0].len().max(sides[1].len());
    sides.iter_mut().for_each(|side| side.resize(longest, 0));
    writer.write(&sides[0], &sides[1])?;
    writer.finish().map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(value: i16) -> Arc<[i16]> {
        vec![value; 320].into()
    }

    #[test]
    fn sides_keep_their_places_across_gaps() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("call.wav");
        let recorder = Recorder::start(path.clone(), Millis(1_000)).expect("created");
        for n in 0..100 {
            recorder.push(Side::Caller, Millis(1_000 + n * 20), frame(7));
            // Our side is silent for a second, then speaks.
            if n >= 50 {
                recorder.push(Side::Ours, Millis(1_000 + n * 20), frame(9));
            }
        }
        drop(recorder);
        let wav = (0..6_000)
            .find_map(|_| {
                std::thread::sleep(std::time::Duration::from_millis(10));
                hound::WavReader::open(&path).ok()
            })
            .expect("the file is finished within a minute");
        let samples: Vec<i16> = wav.into_samples().map(|s| s.expect("a sample")).collect();
        let left: Vec<i16> = samples.iter().step_by(2).copied().collect();
        let right: Vec<i16> = samples.iter().skip(1).step_by(2).copied().collect();
        assert_eq!(left, vec![7; 32_000]);
        assert_eq!(right.iter().position(|s| *s == 9), Some(16_000));
        assert!(right[16_000..].iter().all(|s| *s == 9));
    }
}
