//! The music of callers whom a provider keeps waiting for us: those of our own streams hear it from the call itself.

use axum::Router;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;

use super::WebhookState;
use crate::audio::resample::resample_all;
use crate::audio::units::{Millis, SampleRate};
use crate::audio::wav;
use crate::call::hold::HoldMusic;

/// Where it is. Anybody may have it.
pub(super) const PATH: &str = "/voice/hold.wav";
/// One turn of its figure; providers repeat it.
pub(super) const SPAN: Millis = Millis(7_200);

pub(super) fn routes() -> Router<WebhookState> {
    Router::new().route(PATH, get(music))
}

async fn music() -> Response {
    static FILE: std::sync::OnceLock<Bytes> = std::sync::OnceLock::new();
    let file = FILE.get_or_init(|| {
        let mut pcm = Vec::new();
        HoldMusic::default().fill(SampleRate::WIDEBAND.samples_in(SPAN), &mut pcm);
        let narrow = resample_all(&pcm, SampleRate::WIDEBAND, SampleRate::NARROWBAND).unwrap_or_default();
        wav::bytes(SampleRate::NARROWBAND, &narrow).into()
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("audio/wav")),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400")),
    ];
    (headers, file.clone()).into_response()
}
