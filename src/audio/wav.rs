//! WAV files in and out: any recording as 16 kHz mono, a call's two sides as stereo while they are spoken.
//!
//! The one place in `audio` that touches files. Writing blocks for as long as the page cache does: a call's recorder
//! owns its writer and runs apart from the media path.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader, WavSpec, WavWriter};

use super::g711;
use super::resample::{ResampleError, resample_all};
use super::units::SampleRate;

/// Longest file read, in samples of one channel at 16 kHz: two hours, 230 MB of memory.
const MAX_READ_SAMPLES: u64 = 2 * 3_600 * 16_000;
/// Longest recording written; a WAV's length field ends at 18.6 hours of 16 kHz stereo.
const MAX_WRITE_SECONDS: u64 = 12 * 3_600;
/// A crash loses at most this much of a recording.
const CHECKPOINT_SECONDS: u64 = 5;

/// Why a WAV file can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum WavError {
    /// The file system refused.
    #[error("can't {action} `{path}`")]
    Io {
        /// `open`, `create`, `write` or `rename`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// Not a WAV file, or a kind of WAV nobody here reads.
    #[error("`{path}` is no readable WAV file")]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: hound::Error,
    },
    /// Its sample rate is nonsense.
    #[error("`{path}` can't be converted")]
    Rate {
        /// Which file.
        path: PathBuf,
        /// Which rate.
        #[source]
        source: ResampleError,
    },
    /// Longer than any call.
    #[error("`{path}` is longer than {limit_s} s")]
    TooLong {
        /// Which file.
        path: PathBuf,
        /// The bound.
        limit_s: u64,
    },
}

/// Reads a WAV file as 16 kHz mono.
///
/// Takes integer PCM of 8 to 32 bit, 32-bit float, G.711 µ-law and A-law, any rate from 1 to 384 kHz, any number of
/// channels (averaged), up to two hours.
pub fn read(path: &Path) -> Result<Vec<i16>, WavError> {
    let file = File::open(path).map_err(|source| WavError::Io { action: "open", path: path.to_owned(), source })?;
    let (pcm, rate) = decode(BufReader::new(file), path)?;
    resample_all(&pcm, rate, SampleRate::WIDEBAND).map_err(|source| WavError::Rate { path: path.to_owned(), source })
}

/// Writes mono PCM as a 16-bit WAV file, whole or not at all.
pub fn write(path: &Path, rate: SampleRate, pcm: &[i16]) -> Result<(), WavError> {
    let mut writer = PartFile::create(path, rate, 1)?;
    writer.write(pcm.iter().copied())?;
    writer.finish().map(|_| ())
}

/// Mono PCM as a 16-bit WAV file in memory.
pub fn bytes(rate: SampleRate, pcm: &[i16]) -> Vec<u8> {
    let spec = WavSpec { channels: 1, sample_rate: rate.0, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut file = std::io::Cursor::new(Vec::with_capacity(44 + 2 * pcm.len()));
    let written = WavWriter::new(&mut file, spec).and_then(|mut writer| {
        pcm.iter().try_for_each(|sample| writer.write_sample(*sample))?;
        writer.finalize()
    });
    written.expect("memory takes every write, and no sound of ours lasts the days it takes to fill a WAV file");
    file.into_inner()
}

/// The beginning of a 16-bit stereo WAV file of so many frames, up to where the samples stand.
pub fn stereo_header(rate: SampleRate, frames: u32) -> [u8; 44] {
    let data = frames.saturating_mul(4);
    let mut header = [0; 44];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"RIFF");
    put(4, &data.saturating_add(36).to_le_bytes());
    put(8, b"WAVEfmt ");
    put(16, &16u32.to_le_bytes());
    put(20, &1u16.to_le_bytes()); // PCM
    put(22, &2u16.to_le_bytes());
    put(24, &rate.0.to_le_bytes());
    put(28, &(rate.0 * 4).to_le_bytes());
    put(32, &4u16.to_le_bytes());
    put(34, &16u16.to_le_bytes());
    put(36, b"data");
    put(40, &data.to_le_bytes());
    header
}

/// Two voices as one stereo WAV, streamed to disk as `X.wav.part` and renamed to `X.wav` when finished.
///
/// Every five seconds the header is brought up to date, so that what a crash leaves behind is a playable file.
pub struct StereoWriter {
    file: PartFile,
    since_checkpoint: u64,
    written: u64,
}

impl StereoWriter {
    /// Starts `path`, which must not lie in a missing directory, as `path` + `.part`. An old `.part` is overwritten.
    pub fn create(path: &Path, rate: SampleRate) -> Result<Self, WavError> {
        Ok(Self { file: PartFile::create(path, rate, 2)?, since_checkpoint: 0, written: 0 })
    }

    /// Appends both sides. The shorter is filled up with silence, so that neither drifts.
    ///
    /// Fails when the disk does, and with [`WavError::TooLong`] past twelve hours; what was written stays good.
    pub fn write(&mut self, left: &[i16], right: &[i16]) -> Result<(), WavError> {
        let (len, rate) = (left.len().max(right.len()), u64::from(self.file.rate.0));
        if self.written + len as u64 > MAX_WRITE_SECONDS * rate {
            return Err(WavError::TooLong { path: self.file.path.clone(), limit_s: MAX_WRITE_SECONDS });
        }
        let at = |side: &[i16], n: usize| side.get(n).copied().unwrap_or(0);
        self.file.write((0..len).flat_map(|n| [at(left, n), at(right, n)]))?;
        self.written += len as u64;
        self.since_checkpoint += len as u64;
        if self.since_checkpoint >= CHECKPOINT_SECONDS * rate {
            self.since_checkpoint = 0;
            self.file.checkpoint()?;
        }
        Ok(())
    }

    /// Samples of one side written so far.
    pub const fn samples(&self) -> u64 {
        self.written
    }

    /// Completes the file, puts it on disk and gives it its name. Returns that name.
    pub fn finish(self) -> Result<PathBuf, WavError> {
        self.file.finish()
    }
}

impl std::fmt::Debug for StereoWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StereoWriter").field("path", &self.file.path).field("samples", &self.written).finish()
    }
}

/// A 16-bit WAV that gets its name only once it is complete.
struct PartFile {
    path: PathBuf,
    part: PathBuf,
    rate: SampleRate,
    writer: WavWriter<BufWriter<File>>,
}

impl PartFile {
    fn create(path: &Path, rate: SampleRate, channels: u16) -> Result<Self, WavError> {
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file =
            File::create(&part).map_err(|source| WavError::Io { action: "create", path: part.clone(), source })?;
        let spec = WavSpec { channels, sample_rate: rate.0, bits_per_sample: 16, sample_format: SampleFormat::Int };
        let writer = WavWriter::new(BufWriter::new(file), spec).map_err(|source| write_error(&part, source))?;
        let mut this = Self { path: path.to_owned(), part, rate, writer };
        this.checkpoint()?;
        Ok(this)
    }

    fn write(&mut self, samples: impl Iterator<Item = i16>) -> Result<(), WavError> {
        for sample in samples {
            self.writer.write_sample(sample).map_err(|source| write_error(&self.part, source))?;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), WavError> {
        self.writer.flush().map_err(|source| write_error(&self.part, source))
    }

    fn finish(self) -> Result<PathBuf, WavError> {
        let Self { path, part, writer, .. } = self;
        writer.finalize().map_err(|source| write_error(&part, source))?;
        let io = |action| {
            let path = part.clone();
            move |source| WavError::Io { action, path, source }
        };
        File::open(&part).and_then(|file| file.sync_all()).map_err(io("write"))?;
        std::fs::rename(&part, &path).map_err(io("rename"))?;
        Ok(path)
    }
}

fn write_error(path: &Path, source: hound::Error) -> WavError {
    let source = match source {
        hound::Error::IoError(source) => source,
        other => io::Error::other(other),
    };
    WavError::Io { action: "write", path: path.to_owned(), source }
}

/// The samples of one channel, averaged over all, and their rate.
fn decode(mut reader: impl Read + Seek, path: &Path) -> Result<(Vec<i16>, SampleRate), WavError> {
    let format = |source| WavError::Format { path: path.to_owned(), source };
    match WavReader::new(&mut reader) {
        Ok(mut wav) => {
            let spec = wav.spec();
            check_length(u64::from(wav.duration()), spec.sample_rate, path)?;
            // A file cut short, as a crash leaves it, is read as far as it goes.
            let samples: Vec<i16> = match spec.sample_format {
                SampleFormat::Float => {
                    wav.samples::<f32>().map_while(Result::ok).map(|s| (s * 32_768.0).round() as i16).collect()
                }
                SampleFormat::Int => {
                    let shift = i32::from(spec.bits_per_sample) - 16;
                    wav.samples::<i32>()
                        .map_while(Result::ok)
                        .map(|s| if shift >= 0 { (s >> shift) as i16 } else { (s << -shift) as i16 })
                        .collect()
                }
            };
            Ok((average(&samples, spec.channels), SampleRate(spec.sample_rate)))
        }
        Err(unsupported @ hound::Error::Unsupported) => {
            reader.seek(SeekFrom::Start(0)).map_err(|source| format(source.into()))?;
            let g711 = G711::read(&mut reader).map_err(|source| format(source.into()))?;
            let Some(G711 { alaw, channels, rate, codes }) = g711 else { return Err(format(unsupported)) };
            check_length((codes.len() / usize::from(channels)) as u64, rate, path)?;
            let mut pcm = Vec::with_capacity(codes.len());
            if alaw {
                g711::decode_alaw(&codes, &mut pcm)
            } else {
                g711::decode_ulaw(&codes, &mut pcm)
            }
            Ok((average(&pcm, channels), SampleRate(rate)))
        }
        Err(source) => Err(format(source)),
    }
}

fn check_length(frames: u64, rate: u32, path: &Path) -> Result<(), WavError> {
    let limit_s = MAX_READ_SAMPLES / u64::from(SampleRate::WIDEBAND.0);
    if frames > limit_s * u64::from(rate) {
        return Err(WavError::TooLong { path: path.to_owned(), limit_s });
    }
    Ok(())
}

fn average(interleaved: &[i16], channels: u16) -> Vec<i16> {
    if channels == 1 {
        return interleaved.to_vec();
    }
    let sum = |frame: &[i16]| frame.iter().map(|&sample| i32::from(sample)).sum::<i32>();
    interleaved.chunks_exact(channels.into()).map(|frame| (sum(frame) / i32::from(channels)) as i16).collect()
}

/// A telephone recording: RIFF format tags 6 and 7, which hound does not read.
struct G711 {
    alaw: bool,
    channels: u16,
    rate: u32,
    codes: Vec<u8>,
}

impl G711 {
    /// `None` when the file holds something else.
    fn read(reader: &mut (impl Read + Seek)) -> io::Result<Option<Self>> {
        reader.seek(SeekFrom::Start(12))?; // past RIFF, length, WAVE, which hound has checked
        let mut found = None;
        loop {
            let mut head = [0; 8];
            if reader.read_exact(&mut head).is_err() {
                return Ok(None);
            }
            let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
            match (&head[..4], found) {
                (b"fmt ", _) if len >= 16 => {
                    let mut body = [0; 16];
                    reader.read_exact(&mut body)?;
                    let short = |at: usize| u16::from_le_bytes([body[at], body[at + 1]]);
                    let rate = u32::from_le_bytes([body[4], body[5], body[6], body[7]]);
                    if !matches!(short(0), 6 | 7) || short(2) == 0 || short(14) != 8 {
                        return Ok(None);
                    }
                    found = Some((short(0) == 6, short(2), rate));
                    reader.seek(SeekFrom::Current(i64::from(len + len % 2) - 16))?;
                }
                (b"data", Some((alaw, channels, rate))) => {
                    let limit = u64::from(len).min(MAX_READ_SAMPLES * 8);
                    let mut codes = Vec::new();
                    reader.take(limit).read_to_end(&mut codes)?;
                    return Ok(Some(Self { alaw, channels, rate, codes }));
                }
                _ => {
                    reader.seek(SeekFrom::Current(i64::from(len) + i64::from(len % 2)))?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::audio::mix::level_dbfs;

    fn tone(rate: u32, samples: usize) -> Vec<i16> {
        (0..samples)
            .map(|n| (8_000.0 * (n as f64 * 440.0 * std::f64::consts::TAU / f64::from(rate)).sin()) as i16)
            .collect()
    }

    #[test]
    fn every_common_format_reads_as_wideband_mono() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.wav");
        for (bits, sample_format) in
            [(8, SampleFormat::Int), (16, SampleFormat::Int), (24, SampleFormat::Int), (32, SampleFormat::Float)]
        {
            for (rate, channels) in [(8_000, 1), (16_000, 1), (22_050, 2), (44_100, 2), (48_000, 3)] {
                let spec = WavSpec { channels, sample_rate: rate, bits_per_sample: bits, sample_format };
                let mut wav = WavWriter::create(&path, spec).expect("created");
                for sample in tone(rate, rate as usize) {
                    for _ in 0..channels {
                        match sample_format {
                            SampleFormat::Float => wav.write_sample(f32::from(sample) / 32_768.0).expect("written"),
                            SampleFormat::Int => {
                                let wide = i32::from(sample) << 8;
                                wav.write_sample(wide >> (24 - i32::from(bits))).expect("written");
                            }
                        }
                    }
                }
                wav.finalize().expect("finished");
                let pcm = read(&path).expect("readable");
                assert_eq!(pcm.len(), 16_000, "{bits} bit, {rate} Hz");
                let error: Vec<i16> = pcm.iter().zip(tone(16_000, 16_000)).map(|(a, b)| a - b).collect();
                let snr = level_dbfs(&pcm) - level_dbfs(&error[800..15_200]);
                // A resampled tone is up to half a sample late, which at 440 Hz alone makes 21 dB.
                assert!(snr > 20.0, "{bits} bit, {rate} Hz: {snr} dB");
            }
        }
    }

    fn g711_file(tag: u16, codes: &[u8]) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x12\0\0\0".to_vec();
        file.extend(tag.to_le_bytes());
        file.extend([1, 0, 0x40, 0x1f, 0, 0, 0x40, 0x1f, 0, 0, 1, 0, 8, 0, 0, 0]);
        file.extend(b"fact\x04\0\0\0\0\0\0\0data");
        file.extend((codes.len() as u32).to_le_bytes());
        file.extend(codes);
        file
    }

    #[test]
    fn telephone_recordings_are_decoded() {
        for (tag, code, sample) in [(7, 0x80, 32_124), (6, 0xaa, 32_256)] {
            let file = g711_file(tag, &[code; 800]);
            let (pcm, rate) = decode(Cursor::new(file), Path::new("x.wav")).expect("readable");
            assert_eq!((pcm, rate), (vec![sample; 800], SampleRate::NARROWBAND));
        }
    }

    #[test]
    fn files_that_are_no_recordings_are_named() {
        for bytes in [&b"RIFF"[..], b"not a recording at all", &g711_file(0x55, &[0; 8]), b""] {
            let error = decode(Cursor::new(bytes), Path::new("prompt.wav")).expect_err("no WAV");
            assert_eq!(error.to_string(), "`prompt.wav` is no readable WAV file");
        }
        let error = read(Path::new("no/such.wav")).expect_err("no file");
        assert_eq!(error.to_string(), "can't open `no/such.wav`");
    }

    #[test]
    fn a_recording_gets_its_name_when_it_is_complete() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("call.wav");
        let mut writer = StereoWriter::create(&path, SampleRate::WIDEBAND).expect("created");
        for _ in 0..300 {
            writer.write(&[100; 320], &[-100; 160]).expect("written");
        }
        assert!(!path.exists());
        assert_eq!(writer.finish().expect("finished"), path);
        assert!(!folder.path().join("call.wav.part").exists());
        let mut wav = WavReader::open(&path).expect("playable");
        assert_eq!((wav.spec().channels, wav.duration()), (2, 300 * 320));
        let samples: Vec<i16> = wav.samples().map(|sample| sample.expect("complete")).collect();
        assert_eq!(samples[..2], [100, -100]);
        assert_eq!(samples[320..322], [100, 0], "the shorter side is filled with silence");
    }

    #[test]
    fn a_header_of_ours_is_read_by_others() {
        let mut file = stereo_header(SampleRate::WIDEBAND, 3).to_vec();
        for sample in [1i16, -1, 2, -2, 3, -3] {
            file.extend(sample.to_le_bytes());
        }
        let mut wav = WavReader::new(Cursor::new(file)).expect("a WAV file");
        assert_eq!((wav.spec().channels, wav.spec().sample_rate, wav.duration()), (2, 16_000, 3));
        let samples: Vec<i16> = wav.samples().map(|sample| sample.expect("complete")).collect();
        assert_eq!(samples, [1, -1, 2, -2, 3, -3]);
    }

    #[test]
    fn a_crash_leaves_a_playable_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("call.wav");
        let mut writer = StereoWriter::create(&path, SampleRate::WIDEBAND).expect("created");
        for _ in 0..50 * 12 {
            writer.write(&[1_000; 320], &[2_000; 320]).expect("written");
        }
        std::mem::forget(writer); // nothing is finished, as when the process is killed
        let mut wav = WavReader::open(folder.path().join("call.wav.part")).expect("playable");
        assert_eq!(wav.duration(), 10 * 16_000, "twelve seconds less what came after the last checkpoint");
        assert!(wav.samples::<i16>().all(|sample| sample.is_ok()));
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = StereoWriter::create(Path::new("no/such/folder.wav"), SampleRate::WIDEBAND).expect_err("no folder");
        assert_eq!(error.to_string(), "can't create `no/such/folder.wav.part`");
    }
}
