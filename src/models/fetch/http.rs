//! A whole file over HTTP, continued where an earlier try stopped.

use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Client, StatusCode};

use super::SourceFailure;

/// Pauses before the second and third try.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest silence of a server in the middle of a file.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Gets `url`, `size` bytes, into the file `to`, keeping what is there already. `done` is told the bytes there are.
///
/// Retries what may pass: broken connections and 5xx answers. Does not check the content.
pub(super) async fn download(url: &str, to: &Path, size: u64, done: impl Fn(u64)) -> Result<(), SourceFailure> {
    let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build()?;
    let mut pauses = PAUSES.into_iter();
    loop {
        let failure = match attempt(&client, url, to, size, &done).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        match pauses.next() {
            Some(pause) if may_pass(&failure) => tokio::time::sleep(pause).await,
            _ => return Err(failure),
        }
    }
}

fn may_pass(failure: &SourceFailure) -> bool {
    match failure {
        SourceFailure::Status(status) => status.is_server_error(),
        SourceFailure::Http(_) | SourceFailure::Ended { .. } => true,
        _ => false,
    }
}

async fn attempt(client: &Client, url: &str, to: &Path, size: u64, done: &impl Fn(u64)) -> Result<(), SourceFailure> {
    let mut file = std::fs::OpenOptions::new().create(true).truncate(false).write(true).open(to)?;
    let mut have = file.metadata()?.len();
    if have >= size {
        // All there, or more than there can be: its digest decides, and a wrong one removes it.
        return Ok(());
    }
    let mut request = client.get(url);
    if have > 0 {
        request = request.header(RANGE, format!("bytes={have}-"));
    }
    let mut response = request.send().await?;
    let from_here = response.status() == StatusCode::PARTIAL_CONTENT
        && response
            .headers()
            .get(CONTENT_RANGE)
            .and_then(|range| range.to_str().ok())
            .is_some_and(|range| range.starts_with(&format!("bytes {have}-")));
    if !from_here {
        if response.status() != StatusCode::OK {
            return Err(SourceFailure::Status(response.status()));
        }
        file.set_len(0)?;
        have = 0;
    }
    file.seek(SeekFrom::Start(have))?;
    while let Some(bytes) = response.chunk().await? {
        have += bytes.len() as u64;
        if have > size {
            file.set_len(0)?;
            return Err(SourceFailure::TooLong { size });
        }
        file.write_all(&bytes)?;
        done(have);
    }
    if have < size { Err(SourceFailure::Ended { got: have, size }) } else { Ok(()) }
}
