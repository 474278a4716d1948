//! The console: the pages built from `console/`, embedded in the binary, or one page that says how to build them.
//!
//! It is one page with many addresses: each address of [`PAGES`] answers with the same `index.html`, whose script shows
//! what the address is about. That file is served with an entity tag and `no-cache`, so a browser asks each time; what
//! it names under `assets/` carries a hash in its name and is kept for good. The content security policy allows nothing
//! but our own files; there is no inline script or style. What the pages show comes from `/api/v1`, `/media/browser` and
//! `/agent/ws`; nothing here knows calls or agents.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{LazyLock, OnceLock};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName,
    IF_NONE_MATCH, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

#[cfg(console_built)]
static ASSETS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/console/dist/site");
/// Nobody has built the pages: one says how to.
#[cfg(not(console_built))]
static ASSETS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/src/web/console/unbuilt");

/// The addresses that are pages. `console/src/app/routes.ts` knows what each of them shows.
const PAGES: [&str; 13] = [
    "/",
    "/agent",
    "/calls",
    "/calls/{id}",
    "/configuration",
    "/engines",
    "/knowledge",
    "/knowledge/{id}",
    "/messages",
    "/people",
    "/setup",
    "/shifts",
    "/wallboard",
];

/// Own files only. `connect-src 'self'` covers the websockets too: the pages talk to the host they came from.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self' blob:; \
                      connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";
/// The microphone is for our own pages, the rest for nobody.
const PERMISSIONS: &str = "microphone=(self), autoplay=(self), camera=(), geolocation=(), payment=(), usb=()";

/// One file, ready to be sent.
struct Asset {
    body: &'static [u8],
    /// The body in gzip, made when it is first wanted; none for what does not get smaller.
    gzip: OnceLock<Option<Bytes>>,
    content_type: HeaderValue,
    tag: HeaderValue,
    /// Its name changes with its content.
    hashed: bool,
}

impl Asset {
    fn new(path: &str, body: &'static [u8]) -> Self {
        let hash = Sha256::digest(body);
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        // Weak, since it stands for the file both plain and in gzip.
        let tag =
            HeaderValue::try_from(format!("W/\"{hex}\"")).expect("hexadecimal digits in quotes are a header value");
        let hashed = path.starts_with("assets/");
        Self { body, gzip: OnceLock::new(), content_type: content_type(path), tag, hashed }
    }

    fn gzip(&self) -> Option<Bytes> {
        self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            let smaller =
                encoder.write_all(self.body).and_then(|()| encoder.finish()).expect("memory takes everything");
            (smaller.len() < self.body.len()).then(|| smaller.into())
        });
        self.gzip.get().cloned().flatten()
    }
}

/// By path below the folder.
static BY_PATH: LazyLock<BTreeMap<&'static str, Asset>> = LazyLock::new(|| {
    let mut assets = BTreeMap::new();
    collect(&ASSETS, &mut assets);
    assets
});

/// The pages and their files, and [`not_found`] for everything else. `widget_origins`: sites that may frame the caller's
/// page, checked by the configuration.
pub fn routes(widget_origins: &[String]) -> Router {
    let framed = framed_by(widget_origins);
    let pages = PAGES.into_iter().fold(Router::new(), |router, path| router.route(path, get(page)));
    pages
        .route("/favicon.ico", get(async |headers: HeaderMap| file(&headers, "mark.svg")))
        .route("/widget", get(async move |headers: HeaderMap| widget(&headers, framed)))
        .route("/widget.js", get(widget_script))
        .route("/mark.svg", get(async |headers: HeaderMap| file(&headers, "mark.svg")))
        .route("/assets/{*path}", get(asset))
        .fallback(not_found)
}

/// The page for an address that does not exist, with status 404.
pub async fn not_found() -> Response {
    // Without the request's headers there is no 304: a missing page is never "still good".
    (StatusCode::NOT_FOUND, file(&HeaderMap::new(), "index.html")).into_response()
}

async fn page(headers: HeaderMap) -> Response {
    file(&headers, "index.html")
}

/// The policy of the page that other sites show in a frame.
fn framed_by(origins: &[String]) -> HeaderValue {
    if origins.is_empty() {
        return HeaderValue::from_static(POLICY);
    }
    let policy = POLICY.replace("frame-ancestors 'none'", &format!("frame-ancestors {}", origins.join(" ")));
    HeaderValue::try_from(policy).expect("the configuration lets plain origins in only")
}

/// The caller's page for a frame. `frame-ancestors` decides who may show it; `X-Frame-Options`, which can name nobody and
/// which browsers ignore beside it, stays as it is on every page.
fn widget(headers: &HeaderMap, policy: HeaderValue) -> Response {
    let mut response = file(headers, "index.html");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// What a site puts its one script tag on. Anybody may load it: it shows nothing where the server does not want it.
async fn widget_script(headers: HeaderMap) -> Response {
    let mut response = file(&headers, "widget.js");
    let name = HeaderName::from_static("cross-origin-resource-policy");
    response.headers_mut().insert(name, HeaderValue::from_static("cross-origin"));
    response
}

async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    match BY_PATH.get(format!("assets/{path}").as_str()) {
        Some(asset) => send(&headers, asset),
        None => not_found().await,
    }
}

fn file(headers: &HeaderMap, path: &str) -> Response {
    BY_PATH.get(path).map_or_else(|| StatusCode::NOT_FOUND.into_response(), |asset| send(headers, asset))
}

fn send(headers: &HeaderMap, asset: &Asset) -> Response {
    let cached = if asset.hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let fixed = [
        (ETAG, asset.tag.clone()),
        (CACHE_CONTROL, HeaderValue::from_static(cached)),
        (VARY, HeaderValue::from_static("accept-encoding")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (HeaderName::from_static("permissions-policy"), HeaderValue::from_static(PERMISSIONS)),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    if is_known(headers, &asset.tag) {
        return (StatusCode::NOT_MODIFIED, fixed).into_response();
    }
    let typed = [(CONTENT_TYPE, asset.content_type.clone())];
    match takes_gzip(headers).then(|| asset.gzip()).flatten() {
        Some(gzip) => (fixed, typed, [(CONTENT_ENCODING, "gzip")], gzip).into_response(),
        None => (fixed, typed, asset.body).into_response(),
    }
}

/// Whether the browser has this version already (RFC 9110 §13.1.2, weak comparison).
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let tag = tag.as_bytes();
    listed(headers, &IF_NONE_MATCH)
        .any(|one| one == "*" || one.trim_start_matches("W/").as_bytes() == tag.strip_prefix(b"W/").unwrap_or(tag))
}

/// Whether the client named gzip without refusing it (`q=0`).
fn takes_gzip(headers: &HeaderMap) -> bool {
    listed(headers, &ACCEPT_ENCODING).any(|one| {
        let mut parts = one.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        named && !parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0)))
    })
}

/// The members of a comma-separated header.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|list| list.split(',')).map(str::trim)
}

fn collect(dir: &'static Dir<'static>, assets: &mut BTreeMap<&'static str, Asset>) {
    for file in dir.files() {
        let Some(path) = file.path().to_str() else { continue };
        assets.insert(path, Asset::new(path, file.contents()));
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
    use std::io::Read as _;

    use axum::body::Body;
    use axum::http::Request;
    use flate2::read::GzDecoder;
    use tower::ServiceExt;

    use super::*;

    async fn get(path: &str, headers: &[(HeaderName, &str)]) -> Response {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        routes(&[]).oneshot(request.body(Body::empty()).expect("a plain request")).await.expect("routes never fail")
    }

    async fn body(response: Response) -> Vec<u8> {
        axum::body::to_bytes(response.into_body(), 1 << 22).await.expect("a small body").to_vec()
    }

    fn header<'a>(response: &'a Response, name: &HeaderName) -> &'a str {
        response.headers().get(name).unwrap_or_else(|| panic!("no {name}")).to_str().expect("ASCII")
    }

    /// A style sheet of the console, built or not.
    fn style() -> String {
        let path = BY_PATH.keys().find(|path| path.ends_with(".css")).expect("a style sheet");
        format!("/{path}")
    }

    #[tokio::test]
    async fn every_page_is_there_with_a_strict_policy() {
        for path in PAGES {
            let response = get(&path.replace("{id}", "0197c1d2-0000-7000-8000-000000000000"), &[]).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(header(&response, &CONTENT_TYPE), "text/html; charset=utf-8", "{path}");
            assert_eq!(header(&response, &CACHE_CONTROL), "no-cache", "{path}");
            assert!(!header(&response, &CONTENT_SECURITY_POLICY).contains("unsafe"), "{path}");
            assert!(body(response).await.starts_with(b"<!doctype html>"), "{path}");
        }
    }

    #[tokio::test]
    async fn only_named_sites_may_frame_the_caller_page_and_no_other_page() {
        let origins = ["https://www.example.com".to_owned(), "http://127.0.0.1:9000".to_owned()];
        let policy = async |path: &str, origins: &[String]| {
            let request = Request::get(path).body(Body::empty()).expect("a plain request");
            let response = routes(origins).oneshot(request).await.expect("routes never fail");
            assert_eq!(response.status(), StatusCode::OK);
            header(&response, &CONTENT_SECURITY_POLICY).to_owned()
        };
        let allowed = "frame-ancestors https://www.example.com http://127.0.0.1:9000";
        assert!(policy("/widget", &origins).await.ends_with(allowed));
        assert!(policy("/", &origins).await.ends_with("frame-ancestors 'none'"));
        assert!(policy("/agent", &origins).await.ends_with("frame-ancestors 'none'"));
        assert!(policy("/widget", &[]).await.ends_with("frame-ancestors 'none'"));
    }

    #[tokio::test]
    async fn files_have_their_types_and_are_kept() {
        let response = get(&style(), &[]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, &CONTENT_TYPE), "text/css; charset=utf-8");
        assert_eq!(header(&response, &X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(header(&response, &CACHE_CONTROL).contains("immutable"));
        for (path, kind) in [("worklet.js", "text/javascript; charset=utf-8"), ("icons.svg", "image/svg+xml")] {
            assert_eq!(content_type(path), kind);
        }
    }

    #[tokio::test]
    async fn what_the_browser_has_is_not_sent_again() {
        let first = get("/", &[]).await;
        let tag = header(&first, &ETAG).to_owned();
        let strong = tag.trim_start_matches("W/").to_owned();
        for known in [tag.clone(), strong, format!("\"other\", {tag}"), "*".to_owned()] {
            let again = get("/", &[(IF_NONE_MATCH, &known)]).await;
            assert_eq!(again.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(header(&again, &ETAG), tag);
            assert!(body(again).await.is_empty());
        }
        let changed = get("/", &[(IF_NONE_MATCH, "\"other\"")]).await;
        assert_eq!(changed.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn who_takes_gzip_gets_the_same_in_less() {
        let plain = body(get(&style(), &[]).await).await;
        for refused in ["identity", "br", "gzip;q=0"] {
            let response = get(&style(), &[(ACCEPT_ENCODING, refused)]).await;
            assert!(response.headers().get(CONTENT_ENCODING).is_none(), "{refused}");
        }
        for wanted in ["gzip", "br, GZIP;q=0.5"] {
            let response = get(&style(), &[(ACCEPT_ENCODING, wanted)]).await;
            assert_eq!(header(&response, &CONTENT_ENCODING), "gzip", "{wanted}");
            let sent = body(response).await;
            assert!(sent.len() < plain.len());
            let mut unpacked = Vec::new();
            GzDecoder::new(sent.as_slice()).read_to_end(&mut unpacked).expect("gzip");
            assert_eq!(unpacked, plain);
        }
    }

    #[tokio::test]
    async fn what_does_not_exist_is_a_page_with_status_404() {
        for path in ["/nowhere", "/assets/nothing.js", "/assets/../mod.rs", "/assets/%2e%2e/mod.rs"] {
            let response = get(path, &[(IF_NONE_MATCH, "*")]).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert!(body(response).await.starts_with(b"<!doctype html>"), "{path}");
        }
    }

    /// What stands in for the console until it is built.
    static UNBUILT: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/src/web/console/unbuilt");

    #[test]
    fn the_console_keeps_to_the_policy_and_names_only_files_that_exist() {
        check_files(&BY_PATH);
    }

    #[test]
    fn so_does_the_page_that_says_how_to_build_it() {
        let mut assets = BTreeMap::new();
        collect(&UNBUILT, &mut assets);
        assert!(assets.contains_key("index.html"));
        check_files(&assets);
    }

    /// What the policy forbids would fail only in the browser, and what is missing only when it is clicked.
    fn check_files(assets: &BTreeMap<&'static str, Asset>) {
        let reference = regex::Regex::new(r#"(?:src|href)="/([\w./-]+\.\w+)""#).expect("a valid pattern");
        let chunk =
            regex::Regex::new(r#"["'`]/?(?:\./|assets/)([\w.-]+\.(?:js|css|svg))["'`]"#).expect("a valid pattern");
        let inline =
            regex::Regex::new(r"(?i)<script>|<style|\sstyle=|\son[a-z]+=|javascript:").expect("a valid pattern");
        for (path, asset) in assets {
            let text = std::str::from_utf8(asset.body).unwrap_or_else(|_| panic!("{path} is text"));
            for found in chunk.captures_iter(text).filter(|_| path.ends_with(".js")) {
                let named = format!("assets/{}", &found[1]);
                assert!(assets.contains_key(named.as_str()), "{path} names {named}");
            }
            if path.ends_with(".html") {
                assert!(!inline.is_match(text), "{path} has inline script or style");
                for found in reference.captures_iter(text) {
                    assert!(assets.contains_key(&found[1]), "{path} names {}", &found[1]);
                }
            }
        }
    }
}
