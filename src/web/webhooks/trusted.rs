//! Whose request it is: a handler that takes [`Trusted`] runs for nobody but the provider. What is checked and read is said once a
//! provider, by [`Webhook`].

use axum::body::Bytes;
use axum::extract::{FromRequest, OriginalUri, Request};
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};

use super::{Inner, WebhookState};

/// A request of which nobody knows yet who has sent it.
pub(super) struct Untrusted {
    pub(super) method: Method,
    /// As it was asked for.
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Untrusted {
    /// A header, or nothing.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The parameters of the address: ours, and of a `GET` the provider's.
    pub(super) fn query(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.uri.query().unwrap_or_default().as_bytes()).into_owned().collect()
    }
}

/// What a provider's requests say.
pub(super) trait Webhook: Sized {
    /// Reads a request of the provider's; anybody else is refused, and counted.
    fn read(inner: &Inner, request: &Untrusted) -> Result<Self, Refused>;
}

/// The answer to a request that is not its provider's, or makes no sense.
pub(super) struct Refused(Box<Response>);

impl Refused {
    /// This.
    pub(super) fn with(answer: impl IntoResponse) -> Self {
        Self(Box::new(answer.into_response()))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// What a request says whose sender is known.
pub(super) struct Trusted<W>(pub(super) W);

impl<W: Webhook> FromRequest<WebhookState> for Trusted<W> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &WebhookState) -> Result<Self, Refused> {
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let asked = request.extensions().get::<OriginalUri>().map(|OriginalUri(uri)| uri.clone());
        let uri = asked.unwrap_or_else(|| request.uri().clone());
        let body = Bytes::from_request(request, state).await.map_err(Refused::with)?;
        W::read(&state.0, &Untrusted { method, uri, headers, body }).map(Self)
    }
}

/// The first of these parameters with this name, or nothing.
pub(super) fn parameter<'a>(parameters: &'a [(String, String)], wanted: &str) -> &'a str {
    parameters.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.as_str())
}
