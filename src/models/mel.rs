//! The triangular filters that turn a power spectrum into mel bands, as Whisper was trained with. Pure.

/// Bins of a 400-point FFT.
pub(super) const FFT_BINS: usize = 201;
const FFT_SIZE: f64 = 400.0;
const SAMPLE_RATE: f64 = 16_000.0;

/// Filter weights: `mels` rows of [`FFT_BINS`], for 16 kHz, on Slaney's scale, each of area one.
///
/// Source: Slaney, Auditory Toolbox (1998); the same numbers as librosa's `filters.mel(sr=16000, n_fft=400)`.
pub(super) fn filters(mels: usize) -> Vec<f32> {
    let top = hz_to_mel(SAMPLE_RATE / 2.0);
    let step = top / (mels + 1) as f64;
    let edges: Vec<f64> =
        (0..mels + 2).map(|edge| mel_to_hz(if edge == mels + 1 { top } else { edge as f64 * step })).collect();
    let mut weights = Vec::with_capacity(mels * FFT_BINS);
    for edge in edges.windows(3) {
        let area = 2.0 / (edge[2] - edge[0]);
        for bin in 0..FFT_BINS {
            let hz = bin as f64 * (SAMPLE_RATE / FFT_SIZE);
            let rising = (hz - edge[0]) / (edge[1] - edge[0]);
            let falling = (edge[2] - hz) / (edge[2] - edge[1]);
            // Rounded before and after scaling, because the published filters were.
            let triangle = rising.min(falling).max(0.0) as f32;
            weights.push((f64::from(triangle) * area) as f32);
        }
    }
    weights
}

/// Below 1 kHz the scale is linear, 200/3 Hz a mel; above it is logarithmic, 27 mels for a factor of 6.4.
const HZ_PER_MEL: f64 = 200.0 / 3.0;
const BREAK_HZ: f64 = 1_000.0;
const BREAK_MEL: f64 = BREAK_HZ / HZ_PER_MEL;

fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn hz_to_mel(hz: f64) -> f64 {
    if hz < BREAK_HZ { hz / HZ_PER_MEL } else { BREAK_MEL + (hz / BREAK_HZ).ln() / log_step() }
}

fn mel_to_hz(mel: f64) -> f64 {
    if mel < BREAK_MEL { mel * HZ_PER_MEL } else { BREAK_HZ * (log_step() * (mel - BREAK_MEL)).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_is_one_triangle_of_area_one() {
        for mels in [80, 128] {
            let weights = filters(mels);
            assert_eq!(weights.len(), mels * FFT_BINS);
            for (band, row) in weights.chunks_exact(FFT_BINS).enumerate() {
                let inside: Vec<_> = (0..FFT_BINS).filter(|bin| row[*bin] > 0.0).collect();
                assert!(inside.windows(2).all(|pair| pair[1] == pair[0] + 1), "band {band} of {mels} has a gap");
                // Wide bands have enough bins for their sum to show the area; the narrow ones are mostly one bin.
                if inside.len() >= 8 {
                    let area: f32 = row.iter().sum::<f32>() * 40.0;
                    assert!((area - 1.0).abs() < 0.02, "band {band} of {mels} has area {area}");
                }
            }
        }
    }

    #[test]
    fn known_values() {
        // librosa 0.10: filters.mel(sr=16000, n_fft=400, n_mels=80)[0][1], [79][199]
        let weights = filters(80);
        assert_eq!(weights[0], 0.0);
        assert!((weights[1] - 0.024_862_594).abs() < 1e-8, "{}", weights[1]);
        assert!((mel_to_hz(hz_to_mel(440.0)) - 440.0).abs() < 1e-9);
        assert!((mel_to_hz(hz_to_mel(4_000.0)) - 4_000.0).abs() < 1e-9);
    }
}
