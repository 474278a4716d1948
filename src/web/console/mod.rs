//! The pages: caller, agent's desk, calls, messages. Plain HTML, CSS and JavaScript modules, embedded in the binary.
//!
//! Everything is served with an entity tag and `no-cache`, so that a browser asks each time and gets a 304 unless the
//! binary changed: pages and modules of different versions never mix. The content security policy allows nothing but
//! our own files; there is no inline script or style. What the pages show comes from `/api/v1`, `/media/browser` and
//! `/agent/ws`; nothing here knows calls or agents.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

static ASSETS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/src/web/console/assets");

/// Own files only. `connect-src 'self'` covers the websockets too: the pages talk to the host they came from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; \
                      connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
/// The microphone is for our own pages, the rest for nobody.
const PERMISSIONS: &str = "microphone=(self), autoplay=(self), camera=(), geolocation=(), payment=(), usb=()";

/// One file, ready to be sent.
struct Asset {
    body: &'static [u8],
    content_type: HeaderValue,
    tag: HeaderValue,
}

/// By path below `assets/`.
static BY_PATH: LazyLock<BTreeMap<&'static str, Asset>> = LazyLock::new(|| {
    let mut assets = BTreeMap::new();
    collect(&ASSETS, &mut assets);
    assets
});

/// The pages and their files, and [`not_found`] for everything else. State-free.
pub fn routes() -> Router {
    Router::new()
        .route("/", get(|headers: HeaderMap| async move { page(&headers, "index.html") }))
        .route("/agent", get(|headers: HeaderMap| async move { page(&headers, "agent.html") }))
        .route("/calls", get(|headers: HeaderMap| async move { page(&headers, "calls.html") }))
        .route("/calls/{id}", get(|headers: HeaderMap| async move { page(&headers, "calls.html") }))
        .route("/messages", get(|headers: HeaderMap| async move { page(&headers, "messages.html") }))
        .route("/favicon.ico", get(|headers: HeaderMap| async move { page(&headers, "mark.svg") }))
        .route("/assets/{*path}", get(asset))
        .fallback(not_found)
}

/// The page for an address that does not exist, with status 404.
pub async fn not_found() -> Response {
    // Without the request's headers there is no 304: a missing page is never "still good".
    (StatusCode::NOT_FOUND, page(&HeaderMap::new(), "404.html")).into_response()
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    match BY_PATH.get(path.as_str()) {
        Some(asset) => send(&headers, asset),
        None => not_found().await,
    }
}

fn page(headers: &HeaderMap, path: &str) -> Response {
    send(headers, BY_PATH.get(path).expect("the pages are embedded"))
}

fn send(headers: &HeaderMap, asset: &Asset) -> Response {
    let fixed = [
        (ETAG, asset.tag.clone()),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS)),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    if is_known(headers, &asset.tag) {
        return (StatusCode::NOT_MODIFIED, fixed).into_response();
    }
    (fixed, [(CONTENT_TYPE, asset.content_type.clone())], asset.body).into_response()
}

/// Whether the browser has this version already (RFC 9110 §13.1.2, weak comparison).
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    known
        .flat_map(|list| list.split(','))
        .map(|one| one.trim().trim_start_matches("W/"))
        .any(|one| one == "*" || one.as_bytes() == tag.as_bytes())
}

fn collect(dir: &'static Dir<'static>, assets: &mut BTreeMap<&'static str, Asset>) {
    for file in dir.files() {
        let Some(path) = file.path().to_str() else { continue };
        let hash = Sha256::digest(file.contents());
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let tag = HeaderValue::try_from(format!("\"{hex}\"")).expect("hexadecimal digits in quotes are a header value");
        assets.insert(path, Asset { body: file.contents(), content_type: content_type(path), tag });
    }
    for below in dir.dirs() {
        collect(below, assets);
    }
}

/// By the file's extension; text is UTF-8.
fn content_type(path: &str) -> HeaderValue {
    let mime = mime_guess::from_path(path).first_or_octet_stream();
    let text = mime.type_() == "text" && mime.get_param("charset").is_none();
    let value = if text { format!("{mime}; charset=utf-8") } else { mime.to_string() };
    HeaderValue::try_from(value).expect("a media type is a header value")
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;

    async fn get(path: &str, headers: &[(HeaderName, &str)]) -> Response {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        routes().oneshot(request.body(Body::empty()).expect("a plain request")).await.expect("routes never fail")
    }

    async fn body(response: Response) -> String {
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a small body");
        String::from_utf8(bytes.to_vec()).expect("text")
    }

    fn header<'a>(response: &'a Response, name: &HeaderName) -> &'a str {
        response.headers().get(name).unwrap_or_else(|| panic!("no {name}")).to_str().expect("ASCII")
    }

    #[tokio::test]
    async fn every_page_is_there_with_a_strict_policy() {
        for path in ["/", "/agent", "/calls", "/calls/0197c1d2-0000-7000-8000-000000000000", "/messages"] {
            let response = get(path, &[]).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(header(&response, &CONTENT_TYPE), "text/html; charset=utf-8", "{path}");
            assert!(!header(&response, &CONTENT_SECURITY_POLICY).contains("unsafe"), "{path}");
            assert!(body(response).await.contains("<main"), "{path}");
        }
    }

    #[tokio::test]
    async fn modules_styles_and_pictures_have_their_types() {
        for (path, wanted) in [
            ("/assets/caller/caller.js", "text/javascript; charset=utf-8"),
            ("/assets/audio/playback.worklet.js", "text/javascript; charset=utf-8"),
            ("/assets/base.css", "text/css; charset=utf-8"),
            ("/assets/icons.svg", "image/svg+xml"),
            ("/favicon.ico", "image/svg+xml"),
        ] {
            let response = get(path, &[]).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(header(&response, &CONTENT_TYPE), wanted, "{path}");
            assert_eq!(header(&response, &X_CONTENT_TYPE_OPTIONS), "nosniff", "{path}");
        }
    }

    #[tokio::test]
    async fn what_the_browser_has_is_not_sent_again() {
        let first = get("/assets/base.css", &[]).await;
        let tag = header(&first, &ETAG).to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = get("/assets/base.css", &[(IF_NONE_MATCH, &known)]).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(header(&again, &ETAG), tag);
            assert_eq!(body(again).await, "");
        }
        let changed = get("/assets/base.css", &[(IF_NONE_MATCH, "\"other\"")]).await;
        assert_eq!(changed.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn what_does_not_exist_is_a_page_with_status_404() {
        for path in ["/nowhere", "/assets/nothing.js", "/assets/../mod.rs", "/assets/%2e%2e/mod.rs"] {
            let response = get(path, &[(IF_NONE_MATCH, "*")]).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert!(body(response).await.contains("does not exist"), "{path}");
        }
    }

    /// What the policy forbids would fail only in the browser, and what is misspelt only when it is clicked.
    #[test]
    fn files_keep_to_the_policy_and_name_only_files_that_exist() {
        let reference = regex::Regex::new(r#"["'(]/assets/([\w./-]+\.(?:js|css|svg))"#).expect("a valid pattern");
        let import = regex::Regex::new(r#"(?:from|import|URL\()\s*"(\.{1,2}/[\w./-]+\.js)""#).expect("a valid pattern");
        let inline =
            regex::Regex::new(r"(?i)<script>|<style|\sstyle=|\son[a-z]+=|javascript:").expect("a valid pattern");
        for (path, asset) in BY_PATH.iter() {
            let text = std::str::from_utf8(asset.body).unwrap_or_else(|_| panic!("{path} is text"));
            for found in reference.captures_iter(text) {
                assert!(BY_PATH.contains_key(&found[1]), "{path} names {}", &found[1]);
            }
            for found in import.captures_iter(text) {
                let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                assert!(BY_PATH.contains_key(joined(folder, &found[1]).as_str()), "{path} imports {}", &found[1]);
            }
            if path.ends_with(".html") {
                assert!(!inline.is_match(text), "{path} has inline script or style");
            }
        }
    }

    fn joined(folder: &str, relative: &str) -> String {
        let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        for part in relative.split('/') {
            match part {
                "." => {}
                ".." => {
                    parts.pop();
                }
                name => parts.push(name),
            }
        }
        parts.join("/")
    }
}
