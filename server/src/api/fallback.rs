//! What is not the API: probes, the API's description, and the errors for paths and methods that do not exist.

use std::time::Duration;

use alcove_protocol::{Encoding, ErrorCode};
use axum::Router;
use axum::extract::Request;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tower_http::compression::CompressionLayer;

use super::{ApiError, gate, openapi};
use crate::app::App;

/// How long the database may take to say that it is there.
const READY_WAIT: Duration = Duration::from_secs(2);

pub(super) fn add(router: Router, app: &App) -> Router {
    let document = axum::body::Bytes::from(openapi::document());
    let described =
        move || async move { ([(CONTENT_TYPE, "application/json")], document.clone()).into_response() };
    // The only answer that is compressed: it is the same for everybody. Ciphertext does not compress, and the size of
    // what is compressed tells something of what is in it.
    let described = get(described).layer(CompressionLayer::new());
    let ready = app.clone();
    let missing = app.clone();
    router
        .route("/openapi.json", described)
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(move || is_ready(ready.clone())))
        .fallback(move |request| async move { not_found(&missing, request) })
        .method_not_allowed_fallback(wrong_method)
}

async fn is_ready(app: App) -> Response {
    match tokio::time::timeout(READY_WAIT, app.store.ping()).await {
        Ok(Ok(())) => "ready\n".into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response(),
    }
}

fn not_found(app: &App, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let encoding = gate::answer_encoding(&parts.headers).unwrap_or(Encoding::Json);
    let now = Duration::from_millis(app.clock.now_ms());
    match gate::limit_address(app, gate::address(&parts), now) {
        Err(limited) => limited.respond(encoding),
        Ok(()) => ApiError::not_found("There is nothing at this path.").respond(encoding),
    }
}

async fn wrong_method(request: Request) -> Response {
    let encoding = gate::answer_encoding(request.headers()).unwrap_or(Encoding::Json);
    let path = request.uri().path();
    let mut response =
        ApiError::new(ErrorCode::MethodNotAllowed, "This path has another method.").respond(encoding);
    if let Ok(allowed) = HeaderValue::from_str(&openapi::methods(path).join(", ")) {
        response.headers_mut().insert(ALLOW, allowed);
    }
    response
}
