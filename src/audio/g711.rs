//! G.711: the telephone's companded 8-bit samples, µ-law (PCMU) and A-law (PCMA).

use audio_codec_algorithms as codec;

/// µ-law for silence.
pub const ULAW_SILENCE: u8 = 0xff;
/// A-law for silence.
pub const ALAW_SILENCE: u8 = 0xd5;

/// Decodes G.711 µ-law to linear PCM.
///
/// `ulaw`: one byte per sample, mono, 8 kHz; 160 bytes are 20 ms. Appends `ulaw.len()` samples in ±32 124 to `pcm`.
/// Cannot fail: each byte is a code word. Source: ITU-T G.711, table 2a.
pub fn decode_ulaw(ulaw: &[u8], pcm: &mut Vec<i16>) {
    pcm.extend(ulaw.iter().map(|&code| codec::decode_ulaw(code)));
}

/// Encodes linear PCM as G.711 µ-law.
///
/// `pcm`: mono, 8 kHz. Appends `pcm.len()` bytes to `ulaw`; beyond ±32 124 samples clip. Source: ITU-T G.711, table 2a.
pub fn encode_ulaw(pcm: &[i16], ulaw: &mut Vec<u8>) {
    ulaw.extend(pcm.iter().map(|&sample| codec::encode_ulaw(sample)));
}

/// Decodes G.711 A-law to linear PCM.
///
/// `alaw`: one byte per sample, mono, 8 kHz; 160 bytes are 20 ms. Appends `alaw.len()` samples in ±32 256 to `pcm`.
/// Cannot fail: each byte is a code word. Source: ITU-T G.711, table 1a.
pub fn decode_alaw(alaw: &[u8], pcm: &mut Vec<i16>) {
    pcm.extend(alaw.iter().map(|&code| codec::decode_alaw(code)));
}

/// Encodes linear PCM as G.711 A-law.
///
/// `pcm`: mono, 8 kHz. Appends `pcm.len()` bytes to `alaw`; beyond ±32 256 samples clip. Source: ITU-T G.711, table 1a.
pub fn encode_alaw(pcm: &[i16], alaw: &mut Vec<u8>) {
    alaw.extend(pcm.iter().map(|&sample| codec::encode_alaw(sample)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(decode: fn(&[u8], &mut Vec<i16>), codes: &[u8]) -> Vec<i16> {
        let mut pcm = Vec::new();
        decode(codes, &mut pcm);
        pcm
    }

    fn encoded(encode: fn(&[i16], &mut Vec<u8>), pcm: &[i16]) -> Vec<u8> {
        let mut codes = Vec::new();
        encode(pcm, &mut codes);
        codes
    }

    /// Signal to quantisation noise of one second of a 1 kHz tone, in dB.
    fn snr_db(decode: fn(&[u8], &mut Vec<i16>), encode: fn(&[i16], &mut Vec<u8>), amplitude: f64) -> f64 {
        let tone: Vec<i16> =
            (0..8_000).map(|n| (amplitude * (f64::from(n) * std::f64::consts::TAU * 0.1237).sin()) as i16).collect();
        let back = decoded(decode, &encoded(encode, &tone));
        let signal: f64 = tone.iter().map(|&s| f64::from(s).powi(2)).sum();
        let noise: f64 = tone.iter().zip(&back).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
        10.0 * (signal / noise).log10()
    }

    #[test]
    fn corner_codes_are_those_of_the_recommendation() {
        assert_eq!(decoded(decode_ulaw, &[0xff, 0x7f, 0x00, 0x80]), [0, 0, -32_124, 32_124]);
        assert_eq!(decoded(decode_alaw, &[0xd5, 0x55, 0x2a, 0xaa]), [8, -8, -32_256, 32_256]);
        assert_eq!(encoded(encode_ulaw, &[0]), [ULAW_SILENCE]);
        assert_eq!(encoded(encode_alaw, &[0]), [ALAW_SILENCE]);
        assert_eq!(encoded(encode_ulaw, &[i16::MIN, i16::MAX]), [0x00, 0x80]);
        assert_eq!(encoded(encode_alaw, &[i16::MIN, i16::MAX]), [0x2a, 0xaa]);
    }

    #[test]
    fn every_code_survives_decoding_and_encoding() {
        let codes: Vec<u8> = (0..=255).collect();
        let ulaw = encoded(encode_ulaw, &decoded(decode_ulaw, &codes));
        // 0x7f is µ-law's negative zero; linear PCM has only one.
        assert!(codes.iter().zip(&ulaw).all(|(a, b)| a == b || (*a, *b) == (0x7f, 0xff)));
        assert_eq!(encoded(encode_alaw, &decoded(decode_alaw, &codes)), codes);
    }

    #[test]
    fn quantisation_noise_stays_below_speech() {
        for amplitude in [300.0, 3_000.0, 30_000.0] {
            assert!(snr_db(decode_ulaw, encode_ulaw, amplitude) > 28.0, "µ-law at {amplitude}");
            assert!(snr_db(decode_alaw, encode_alaw, amplitude) > 26.0, "A-law at {amplitude}");
        }
        assert!(snr_db(decode_ulaw, encode_ulaw, 16_000.0) > 35.0);
    }
}
