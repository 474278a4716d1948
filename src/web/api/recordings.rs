//! Sends a file of the recordings folder, whole or in ranges, and nothing outside that folder.

use std::io;
use std::path::{Component, Path, PathBuf};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use tower::ServiceExt as _;
use tower_http::services::ServeFile;

use crate::web::error::ApiError;

/// Answers `request` with the file `name` of `folder`, which the browser may save as `save_as`.
pub(super) async fn send(folder: &Path, name: &str, save_as: &str, request: Request) -> Result<Response, ApiError> {
    let file = find(folder, name).await?;
    let wav = "audio/wav".parse().expect("a media type");
    let sent = ServeFile::new_with_mime(&file, &wav).oneshot(request).await.expect("it answers errors with a status");
    let mut response = sent.map(Body::new);
    let disposition = HeaderValue::try_from(format!("inline; filename=\"{save_as}\""));
    response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition.expect("ids are plain letters"));
    // A voice must not stay behind in a cache of the browser's or a proxy's.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}

/// A file of the folder, if it is one.
pub(super) async fn find(folder: &Path, name: &str) -> Result<PathBuf, ApiError> {
    let file = inside(folder, name).ok_or(ApiError::NotFound { what: "recording" })?;
    match tokio::fs::symlink_metadata(&file).await {
        Ok(found) if found.is_file() => Ok(file),
        Ok(_) => Err(ApiError::NotFound { what: "recording" }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(ApiError::NotFound { what: "recording" }),
        Err(error) => Err(ApiError::Recording(error)),
    }
}

/// The path of `name` in `folder`, if it is a plain file name.
fn inside(folder: &Path, name: &str) -> Option<PathBuf> {
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Some(folder.join(name)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_lie_inside() {
        let folder = Path::new("/recordings");
        assert_eq!(inside(folder, "a.wav"), Some(PathBuf::from("/recordings/a.wav")));
        for outside in ["", ".", "..", "../a.wav", "/etc/passwd", "a/b.wav", "a.wav/", "./a.wav"] {
            assert_eq!(inside(folder, outside), None, "{outside}");
        }
    }
}
